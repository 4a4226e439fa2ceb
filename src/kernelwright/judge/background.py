"""What uses the device's cores beside the thing that is timed, and is held up while it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from kernelwright.judge.process import Worker

T = TypeVar("T")


class Background:
    """Builds, compilations, exports: workers that run beside each other, but never while something is timed.

    Life cycle: made once a judge; `start` a worker through it; `held_up` around everything that is timed.
    """

    def __init__(self) -> None:
        self._gate = threading.RLock()
        self._workers: set[Worker] = set()

    def start(self, fork: Callable[[], Worker]) -> Worker:
        """Forks a worker, once nothing is being timed."""
        with self._gate:
            worker = fork()
            self._workers = {one for one in self._workers if not one.closed} | {worker}
        return worker

    def forget(self, worker: Worker) -> None:
        """From now on the worker is not held up: it is what is timed."""
        with self._gate:
            self._workers.discard(worker)

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Stops all of them, and lets them go on afterwards."""
        with self._gate:
            held = [worker for worker in self._workers if not worker.closed]
            try:
                for worker in held:
                    worker.pause()
                yield
            finally:
                for worker in held:
                    worker.resume()


async def in_thread(work: Callable[..., T], *arguments: Any, abort: Callable[[], None]) -> T:
    """Runs blocking work in a thread. When cancelled, calls `abort` and waits for the thread, which may hold the
    device."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        abort()
        await asyncio.wait([running])
        running.exception()  # nobody wants to know
        raise
