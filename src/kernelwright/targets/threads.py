"""What the system says of a process's threads."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def of(pid: int) -> list[int]:
    """Their numbers; none where the process has ended."""
    try:
        return [int(each.name) for each in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def waited(pid: int) -> float:
    """Seconds that they have been ready to run, and another thread ran; 0 where the system keeps no such statistics."""
    found = 0.0
    for thread in of(pid):
        with suppress(OSError, ValueError, IndexError):  # it has ended, or there are none
            found += 1e-9 * int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[1])
    return found
