"""What uses the device's cores beside the thing that is timed, and is held up while it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

from kernelwright.judge.process import Worker

T = TypeVar("T")


class Background:
    """Builds, compilations, exports: workers that run beside each other, but never while something is timed.

    Life cycle: made once a judge; `start` a worker through it; `held_up` around everything that is timed. With
    `starts_too` nothing is timed while a worker starts, either: where the cores are what is timed.
    """

    def __init__(self, *, starts_too: bool) -> None:
        self._starts_too, self._gate, self._changing = starts_too, threading.RLock(), threading.Lock()
        self._workers: set[Worker] = set()
        self._held = False

    def start(self, fork: Callable[[], Worker]) -> Worker:
        """Forks a worker."""
        with self._gate if self._starts_too else nullcontext():
            worker = fork()
            with self._changing:
                self._workers = {one for one in self._workers if not one.closed} | {worker}
                if self._held:
                    worker.pause()
        return worker

    def forget(self, worker: Worker) -> None:
        """From now on the worker is not held up: it is what is timed."""
        with self._changing:
            if worker in self._workers:
                self._workers.discard(worker)
                worker.resume()

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Stops all of them, and lets them go on afterwards."""
        with self._gate:
            self._all(Worker.pause, held=True)
            try:
                yield
            finally:
                self._all(Worker.resume, held=False)

    def _all(self, act: Callable[[Worker], None], *, held: bool) -> None:
        with self._changing:
            self._held = held
            for worker in self._workers:
                if not worker.closed:
                    act(worker)


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
