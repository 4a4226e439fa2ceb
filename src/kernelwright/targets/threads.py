"""What the system says of a process's threads."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_SPENT, _WAITED = 0, 1
"""Fields of `schedstat`, in ns."""


def of(pid: int) -> list[int]:
    """Their numbers; none where the process has ended."""
    try:
        return [int(each.name) for each in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def spent(pid: int) -> dict[int, int]:
    """The ns that each has been on a core."""
    return _scheduled(pid, _SPENT)


def waited(pid: int) -> float:
    """Seconds that they have been ready to run, and another thread ran; 0 where the system keeps no such statistics."""
    return 1e-9 * sum(_scheduled(pid, _WAITED).values())


def _scheduled(pid: int, field: int) -> dict[int, int]:
    found = {}
    for thread in of(pid):
        with suppress(OSError, ValueError, IndexError):  # it has ended, or the system keeps no statistics
            found[thread] = int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[field])
    return found
