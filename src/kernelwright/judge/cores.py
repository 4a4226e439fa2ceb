"""Which cores the threads of a worker run on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def apart(pid: int) -> Iterator[None]:
    """Around letting a stopped process go on: gives its busiest threads a core each, the first thread always.

    Whoever lets it go on wakes all its threads at once, and each wakes where it last ran. Two that have met on one core
    may share it for many time slices while another core is idle, and a short call takes twice its time. Afterwards they
    may run on any core, and so may the threads that they start; but they stay where they are. Threads that have chosen
    their cores themselves keep them.
    """
    cores = os.sched_getaffinity(0)
    first = max(cores)
    if len(cores) == 1:
        yield
        return
    placed = _place(pid, [first, *sorted(cores - {first})], cores)
    os.sched_setaffinity(0, cores - {first})  # there we would be held up when the first thread wakes
    try:
        yield
        for thread in placed:
            with suppress(OSError):  # it has ended
                os.sched_setaffinity(thread, cores)
    finally:
        os.sched_setaffinity(0, cores)


def _place(pid: int, order: list[int], everywhere: set[int]) -> list[int]:
    """Gives threads a core each as long as there are cores; returns those threads."""
    placed = []
    for thread, core in zip(_busiest(pid), order, strict=False):
        with suppress(OSError):
            # A thread that was started before the first one was free again has inherited its core.
            if os.sched_getaffinity(thread) in (everywhere, {order[0]}):
                os.sched_setaffinity(thread, {core})
                placed.append(thread)
    return placed


def _busiest(pid: int) -> list[int]:
    """The first thread, then the others by the time that they have spent on a core."""
    spent = {}
    for folder in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError, ValueError):
            spent[int(folder.name)] = int((folder / "schedstat").read_text().split()[0])
    return sorted(spent, key=lambda thread: (thread != pid, -spent[thread]))
