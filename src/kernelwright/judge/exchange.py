"""One exchange with a stopped process on the judge's clock: it goes on, answers, and is stopped again.

The clock itself is in `exchange.cpp`, which says why.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import select
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence

from kernelwright.judge import memory, native, wire

_CPU_SET = 1024
"""Cores in a `cpu_set_t`."""
_MOST_WATCHED = 256
"""Threads whose state is looked at: each takes a descriptor."""
_GETTING_READY = 5e-4
"""Seconds until the thread that is to stop a process sleeps."""


class _Watched(ctypes.Structure):
    _fields_ = [
        ("pid", ctypes.c_int),
        ("pidfd", ctypes.c_int),
        ("sock", ctypes.c_int),
        ("threads", ctypes.c_int),
        ("ids", ctypes.POINTER(ctypes.c_int)),
        ("files", ctypes.POINTER(ctypes.c_int)),
    ]


class _Reply(ctypes.Structure):
    _fields_ = [
        ("body", ctypes.c_void_p),
        ("length", ctypes.c_int64),
        ("there", ctypes.c_double),
        ("spent", ctypes.c_double),
        ("stopped", ctypes.c_double),
    ]


@functools.cache
def _native() -> ctypes.CDLL:
    library = ctypes.CDLL(str(native.library("exchange")))
    library.go.restype = ctypes.c_double
    library.stop_at.argtypes = [ctypes.c_int, ctypes.c_double, ctypes.c_void_p, *[ctypes.c_int] * 3, ctypes.c_void_p]
    library.answer.argtypes = [ctypes.c_void_p, ctypes.c_double, ctypes.c_int64, ctypes.c_void_p]
    return library


class Exchange:
    """Life cycle: made by `exchange` while the process is stopped; `go`, then `answer`, which leaves it stopping; then
    `seconds`, once it has stopped."""

    def __init__(
        self, pid: int, pidfd: int, sock: int, threads: Sequence[int], files: Sequence[int], cores: Collection[int]
    ) -> None:
        count = len(threads)
        self.pid, self._library = pid, _native()
        self._watched = _Watched(
            pid, pidfd, sock, count, (ctypes.c_int * count)(*threads), (ctypes.c_int * count)(*files)
        )
        self._cores = _cpu_set(cores)
        self._reply = _Reply()
        self._began = 0.0

    def go(self) -> None:
        """Lets it run. Raises `ProcessLookupError`."""
        began = self._library.go(ctypes.byref(self._watched), self._cores)
        if began < 0:
            raise ProcessLookupError
        self._began = self._began or began

    def run_for(self, seconds: float, timeout: float, go: Callable[[], None]) -> float | None:
        """Has `go` let it run, and stops it after about so many seconds, unless it begins to answer before or `timeout`
        passes; how long it ran, if it was stopped. Raises as `go`."""
        with contextlib.ExitStack() as stack:
            events = ready, cancel, done = [os.eventfd(0) for _ in range(3)]
            for event in events:
                stack.callback(os.close, event)
            when, stopped = time.monotonic() + _GETTING_READY + seconds, ctypes.c_double()
            cores = _cpu_set(os.sched_getaffinity(os.getpid()))
            arguments = self._watched.pidfd, when, cores, *events, ctypes.byref(stopped)
            stopping = threading.Thread(target=self._library.stop_at, args=arguments, daemon=True)
            stopping.start()
            try:
                select.select([ready], [], [], timeout)
                time.sleep(max(0.0, when - seconds - time.monotonic()))
                go()
                select.select([self._watched.sock, done], [], [], timeout)
            finally:
                os.eventfd_write(cancel, 1)
                stopping.join()
            at_work = bool(select.select([done], [], [], 0)[0])
        return max(0.0, stopped.value - self._began) if at_work else None

    def answer(self, timeout: float, limit: int) -> bytes:
        """Its whole answer, of `limit` bytes at most; upon which it is told to stop.

        Raises:
            TimeoutError: it did not arrive in time.
            wire.Closed: the process is gone.
            wire.WireError: it is over the limit.
        """
        outcome = self._library.answer(ctypes.byref(self._watched), timeout, limit, ctypes.byref(self._reply))
        try:
            if outcome == 0:
                return ctypes.string_at(self._reply.body, self._reply.length)
        finally:
            self._library.release(ctypes.byref(self._reply))
        if outcome == 1:
            raise TimeoutError
        if outcome == 2:
            raise wire.Closed("the peer is gone")
        raise wire.WireError(f"a message of {self._reply.length} bytes is over the limit of {limit}")

    def seconds(self) -> float:
        """From letting it run until its answer was there, and what it computed after that; called once it has stopped.

        That it waits for a core to stop on does not count: one of its threads was seen to have stopped, upon which the
        others cannot go on, or its processor time did not.
        """
        began, there, stopped = float(self._began), float(self._reply.there), float(self._reply.stopped)
        late = (stopped if stopped >= 0 else time.perf_counter()) - there
        return there - began + min(late, memory.cpu_seconds(self.pid) - float(self._reply.spent))


def _cpu_set(cores: Collection[int]) -> ctypes.Array[ctypes.c_uint8]:
    found = (ctypes.c_uint8 * (_CPU_SET // 8))()
    for core in filter(_CPU_SET.__gt__, cores):
        found[core // 8] |= 1 << core % 8
    return found


@contextlib.contextmanager
def exchange(pid: int, pidfd: int, sock: int, threads: Sequence[int], cores: Collection[int]) -> Iterator[Exchange]:
    """With process `pid`, whose `threads` are watched, unless they are too many (the first thread first; it may run on
    `cores` once it goes on)."""
    files: list[int] = []
    known = []
    try:
        for thread in threads if len(threads) <= _MOST_WATCHED else threads[:1]:
            with contextlib.suppress(OSError):  # it has ended
                files.append(os.open(f"/proc/{pid}/task/{thread}/stat", os.O_RDONLY | os.O_CLOEXEC))
                known.append(thread)
        yield Exchange(pid, pidfd, sock, known, files, cores)
    finally:
        for file in files:
            os.close(file)
