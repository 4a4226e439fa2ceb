"""What uses the device's cores beside the thing that is timed, and is held up while it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from kernelwright.judge.process import Worker

T = TypeVar("T")


class Background:
    """Builds, compilations, exports: workers that start and run beside each other, but never while something is timed.

    Life cycle: made once a judge; `start` a worker through it; `held_up` around everything that is timed.
    """

    def __init__(self) -> None:
        self._change = threading.Condition(threading.RLock())
        self._workers: set[Worker] = set()
        self._starting = self._timing = 0

    def start(self, fork: Callable[[], Worker]) -> Worker:
        """Forks a worker, once nothing is being timed."""
        with self._change:
            self._change.wait_for(lambda: not self._timing)
            self._starting += 1
        try:
            worker = fork()
            with self._change:
                self._workers = {one for one in self._workers if not one.closed} | {worker}
                if self._timing:
                    worker.pause()
        finally:
            with self._change:
                self._starting -= 1
                self._change.notify_all()
        return worker

    def forget(self, worker: Worker) -> None:
        """From now on the worker is not held up: it is what is timed."""
        with self._change:
            if worker in self._workers:
                self._workers.discard(worker)
                worker.resume()

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Stops all of them, once none is starting, and lets them go on afterwards."""
        with self._change:
            self._timing += 1
        try:
            with self._change:
                self._all(Worker.pause)
                self._change.wait_for(lambda: not self._starting)
            yield
        finally:
            with self._change:
                self._timing -= 1
                if not self._timing:
                    self._all(Worker.resume)
                    self._change.notify_all()

    def _all(self, act: Callable[[Worker], None]) -> None:
        for worker in self._workers:
            if not worker.closed:
                act(worker)


_THREADS = ThreadPoolExecutor(64, thread_name_prefix="judge")
"""More than builds, those that get ready, and the device together take: none waits for another."""


async def in_thread(work: Callable[..., T], *arguments: Any, abort: Callable[[], None]) -> T:
    """Runs blocking work in a thread. When cancelled, calls `abort` and waits for the thread, which may hold the
    device."""
    running = asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(_THREADS, partial(work, *arguments)))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        abort()
        await asyncio.wait([running])
        running.exception()  # nobody wants to know
        raise
