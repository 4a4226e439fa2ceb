"""Which cores the threads of a worker run on while it is timed."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kernelwright.targets.threads import spent


@contextmanager
def apart(pid: int) -> Iterator[tuple[list[int], set[int]]]:
    """Around one timed call of a stopped process: gives its busiest threads a core each, the first thread always.
    Yields all its threads, the first one first, and where that one may run once it goes on.

    Whoever lets it go on wakes all its threads at once, and each wakes where it last ran. Two that have met on one core
    may share it for many time slices while another core is idle, and a short call takes twice its time. Whoever lets it
    go on lets the first thread run on any core, and with it the threads that it starts; it stays where it is. Threads
    that have chosen their cores themselves keep them.

    We wait on the first thread's core, which is free when that thread is done: on another one we would see the answer
    late, since the threads of a pool spin there for milliseconds after their work.
    """
    cores = os.sched_getaffinity(0)
    threads = _busiest(pid)
    if len(cores) == 1:
        yield threads, cores
        return
    order = _whole_first(frozenset(cores))
    placed = _place(threads, order, cores)
    os.sched_setaffinity(0, {order[0]})
    try:
        yield threads, cores if pid in placed else _affinity(pid, cores)
    finally:
        os.sched_setaffinity(0, cores)
        for thread in placed:
            with suppress(OSError):
                os.sched_setaffinity(thread, cores)


@functools.cache
def _whole_first(cores: frozenset[int]) -> list[int]:
    """All cores, one of each physical core before the second halves, the last one first: the system's own work is more
    often done on the first."""

    def half(core: int) -> int:
        try:
            text = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text()
        except OSError:
            return 0
        siblings = [int(number) for number in re.findall(r"\d+", text)]
        return sum(number < core for number in siblings)

    return sorted(cores, key=lambda core: (half(core), -core))


def _place(threads: list[int], order: list[int], everywhere: set[int]) -> list[int]:
    """Gives threads a core each as long as there are cores; returns those threads."""
    placed = []
    for thread, core in zip(threads, order, strict=False):
        with suppress(OSError):  # it has ended
            # A thread that was started before the first one was free again has inherited its core.
            if os.sched_getaffinity(thread) in (everywhere, {order[0]}):
                os.sched_setaffinity(thread, {core})
                placed.append(thread)
    return placed


def _affinity(thread: int, otherwise: set[int]) -> set[int]:
    with suppress(OSError):  # it has ended
        return os.sched_getaffinity(thread)
    return otherwise


def _busiest(pid: int) -> list[int]:
    """The first thread, then the others by the time that they have spent on a core."""
    busy = spent(pid)
    return sorted(busy, key=lambda thread: (thread != pid, -busy[thread]))
