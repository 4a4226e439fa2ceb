"""Which cores the threads of a worker run on while it is timed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def apart(pid: int) -> Iterator[Callable[[], None]]:
    """Around one timed call of a stopped process: gives its busiest threads a core each, the first thread always.

    Whoever lets it go on wakes all its threads at once, and each wakes where it last ran. Two that have met on one core
    may share it for many time slices while another core is idle, and a short call takes twice its time. What is yielded
    lets them run on any core, and with them the threads that they start; they stay where they are. Call it as soon as
    the process goes on. Threads that have chosen their cores themselves keep them.

    We wait on the first thread's core, which is free when that thread is done: on another one we would see the answer
    late, since the threads of a pool spin there for milliseconds after their work.
    """
    cores = os.sched_getaffinity(0)
    first = max(cores)
    if len(cores) == 1:
        yield _nothing
        return
    placed = _place(pid, [first, *sorted(cores - {first})], cores)
    os.sched_setaffinity(0, {first})
    try:
        yield lambda: _free(placed, cores)
    finally:
        os.sched_setaffinity(0, cores)


def _nothing() -> None:
    pass


def _place(pid: int, order: list[int], everywhere: set[int]) -> list[int]:
    """Gives threads a core each as long as there are cores; returns those threads."""
    placed = []
    for thread, core in zip(_busiest(pid), order, strict=False):
        with suppress(OSError):  # it has ended
            # A thread that was started before the first one was free again has inherited its core.
            if os.sched_getaffinity(thread) in (everywhere, {order[0]}):
                os.sched_setaffinity(thread, {core})
                placed.append(thread)
    return placed


def _free(threads: list[int], cores: set[int]) -> None:
    for thread in threads:
        with suppress(OSError):
            os.sched_setaffinity(thread, cores)


def _busiest(pid: int) -> list[int]:
    """The first thread, then the others by the time that they have spent on a core."""
    spent = {}
    for folder in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError, ValueError):
            spent[int(folder.name)] = int((folder / "schedstat").read_text().split()[0])
    return sorted(spent, key=lambda thread: (thread != pid, -spent[thread]))
