"""Whose turn on a device it is, among the candidates of a judge and the judges of a machine."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from kernelwright.errors import MachineError
from kernelwright.home import home
from kernelwright.judge.ranked_lock import RankedLock
from kernelwright.targets.base import Target

POLL_S = 0.01


def turns_on(target: Target) -> RankedLock:
    """The turns of a new judge."""
    return DeviceTurns(home() / "locks" / target.unit) if target.unit else RankedLock()


class DeviceTurns(RankedLock):
    """A `RankedLock` whose holder also keeps the judges of other processes off the device: two that time on one GPU
    stop each other's queues, and each takes twenty times as long.

    Life cycle: as `RankedLock`. Each part of a turn has the device; who steps aside lets others have it.
    """

    def __init__(self, folder: Path) -> None:
        """Judges that name the same folder take turns; the system frees the device when a process ends."""
        super().__init__()
        self._folder = folder

    @asynccontextmanager
    async def turn(self, rank: float | None = None) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """See `RankedLock.turn`. Raises `MachineError` where the folder cannot be written."""
        async with super().turn(rank) as step_aside:
            held: int | None = await self._take()

            async def aside() -> None:
                nonlocal held
                if held is not None:
                    os.close(held)
                held = None
                await step_aside()
                held = await self._take()

            try:
                yield aside
            finally:
                if held is not None:
                    os.close(held)

    async def _take(self) -> int:
        """Waits at the door before it waits for the device, so that one who leaves comes after one who waits."""
        door = await self._lock("next")
        try:
            return await self._lock("device")
        finally:
            os.close(door)

    async def _lock(self, name: str) -> int:
        path, descriptor = self._folder / name, -1
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            while not _locked(descriptor):
                await asyncio.sleep(POLL_S)
        except BaseException as error:
            if descriptor >= 0:
                os.close(descriptor)
            if not isinstance(error, OSError):
                raise
            remedy = "make the folder writable, or set KERNELWRIGHT_HOME to one on a file system with locks"
            raise MachineError(f"cannot lock the device: {error.strerror}", where=str(path), remedy=remedy) from error
        return descriptor


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
