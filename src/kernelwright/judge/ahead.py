"""Workers of a candidate that are started while others have the device.

A process on a device takes a quarter of a second to start and a tenth for its first call, and compiling for shapes that
it has not met takes seconds; all of it needs the host alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from kernelwright.errors import MachineError
from kernelwright.judge.background import in_thread
from kernelwright.judge.candidate import CandidateSide
from kernelwright.judge.rehearsal import rehearse
from kernelwright.judge.rejection import Rejection
from kernelwright.tasks import CaseInfo

WAITING, ROOM = 4, 8 << 30
"""Candidates of a judge that have such workers at a time, and bytes of the device for each: a worker holds half a
gigabyte and what its inputs take."""


class Ahead:
    """The workers of one candidate. Life cycle: `start` some of each kind, or none; `take` them, each once; `close`."""

    def __init__(self) -> None:
        self._ready: dict[str, list[CandidateSide]] = {}
        self._failed = False

    def start(self, kind: str, make: Callable[[], CandidateSide], cases: Sequence[tuple[CaseInfo, int]]) -> None:
        """Makes one more, and rehearses so many calls of these cases in it. What goes wrong is for the stage to find
        that needs it: it makes another. Where one went wrong no more are made."""
        if self._failed:
            return
        try:
            side = make()
        except (Rejection, MachineError):
            self._failed = True
            return
        self._ready.setdefault(kind, []).append(side)
        try:
            for case, calls in cases:
                rehearse(side, case, calls)
        except Rejection:
            self._failed = True
            side.worker.close()

    def take(self, kind: str, make: Callable[[], CandidateSide]) -> CandidateSide:
        """One of a kind that is still alive; where there is none, a new one. Raises `Rejection`."""
        ready = self._ready.get(kind, [])
        while ready:
            side = ready.pop(0)
            if not side.worker.closed:
                return side
        return make()

    def close(self) -> None:
        """Ends those that nobody took."""
        for sides in self._ready.values():
            for side in sides:
                side.worker.close()
        self._ready = {}


def places(memory_bytes: int) -> int:
    """How many candidates may wait with workers on a device with so much memory."""
    return max(1, min(WAITING, memory_bytes // ROOM))


class Anteroom:
    """Where candidates get ready for the device, so many at a time; none do where there is no place. Life cycle: made
    once a judge."""

    def __init__(self, count: int) -> None:
        self._places = asyncio.Semaphore(count) if count else None

    @asynccontextmanager
    async def ready(
        self, get_ready: Callable[[], None], abort: Callable[[], None]
    ) -> AsyncIterator[Callable[[], None]]:
        """Around a candidate's turn: it gets ready first, once there is a place. What it gives is called when the
        candidate has no such workers any more; else its place is free at the end."""
        held = self._places
        if held is None:
            yield lambda: None
            return

        def leave() -> None:
            nonlocal held
            if held is not None:
                held.release()
            held = None

        await held.acquire()
        try:
            await in_thread(get_ready, abort=abort)
            yield leave
        finally:
            leave()
