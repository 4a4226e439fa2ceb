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

    Life cycle: made once a judge; `start` a worker through it, and `end` one where that takes long; `held_up` around
    everything that is timed.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy = self._timing = 0
        """Processes that are being started or ended, and who times something or waits to."""
        self._held = False
        self._workers: set[Worker] = set()

    def start(self, fork: Callable[[], Worker]) -> Worker:
        """Forks a worker, once nothing is being timed or about to be."""
        with self._changed:
            self._changed.wait_for(lambda: not self._timing)
            self._busy += 1
        worker = None
        try:
            worker = fork()
        finally:
            with self._changed:
                self._busy -= 1
                self._workers = {one for one in (*self._workers, worker) if one is not None and not one.closed}
                self._changed.notify_all()
        return worker

    def end(self, worker: Worker) -> None:
        """Ends a worker, which nobody waits for but who wants to time something."""
        worker.kill()
        with self._changed:
            self._busy += 1

        def close() -> None:
            try:
                worker.close()
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

        threading.Thread(target=close, name="ending").start()

    def forget(self, worker: Worker) -> None:
        """From now on the worker is not held up: it is what is timed, or is asked nothing before its turn."""
        with self._changed:
            self._workers.discard(worker)

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Stops all of them, and lets them go on afterwards; one at a time."""
        with self._changed:
            self._timing += 1
            self._changed.wait_for(lambda: not self._busy and not self._held)
            self._held = True
            held = [worker for worker in self._workers if not worker.closed]
        try:
            for worker in held:
                worker.pause()
            yield
        finally:
            for worker in held:
                worker.resume()
            with self._changed:
                self._timing -= 1
                self._held = False
                self._changed.notify_all()


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
