"""What limits on single processes cannot hold: the processes, memory and disk that a worker and all it has started take
together."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kernelwright.judge import memory

PERIOD = 0.25
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Watched(Protocol):
    """A worker, as the warden sees it."""

    pid: int

    @property
    def running(self) -> bool:
        """Whether it is asked something now."""

    def end(self, why: str) -> None:
        """Ends it; `why` is for whoever waits for its answer."""


@dataclass(frozen=True)
class Allowance:
    """What a worker and everything it has started may take together. `folder` is counted against `disk`, as are files
    that are open; without a folder only memory is looked at."""

    memory: int
    processes: int = 256
    disk: int = 2 << 30
    folder: str = ""
    reply: int = 4 << 20
    """Bytes it may say at a time: reading JSON takes up to 25 times its size in memory."""


class Warden:
    """Looks at running workers four times a second, in a thread of its own, and ends those that take too much.

    Life cycle: made once a zygote; `watch` for each worker; `close`.
    """

    def __init__(self) -> None:
        self._watched: weakref.WeakKeyDictionary[Watched, Allowance] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, worker: Watched, allowance: Allowance) -> None:
        """From now on looks at this worker whenever it runs."""
        with self._lock:
            self._watched[worker] = allowance
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="warden")
                self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(PERIOD):
            with self._lock:
                running = [(worker, allowed) for worker, allowed in self._watched.items() if worker.running]
            for worker, allowed in running:
                with contextlib.suppress(OSError):  # it ends while it is looked at
                    if why := breach(worker.pid, allowed):
                        worker.end(why)


def breach(pid: int, allowed: Allowance) -> str:
    """What a process and all it has started take too much of, or an empty string."""
    processes = memory.descendants(pid) if allowed.folder else [pid]
    if len(processes) > allowed.processes:
        return f"it started more than {allowed.processes} processes"
    if sum(map(_resident, processes)) > allowed.memory and (taken := sum(map(_share, processes))) > allowed.memory:
        return f"it took {taken / 2**30:.1f} GiB of memory, and may take {allowed.memory / 2**30:.1f}"
    if allowed.folder and _on_disk(processes, allowed.folder) > allowed.disk:
        return f"it wrote more than {allowed.disk / 2**30:.0f} GiB"
    return ""


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return 0


def _share(pid: int) -> int:
    """As `_resident`, with pages that several processes share counted in parts: forks share nearly all. Slower."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    return 0


def _on_disk(processes: list[int], folder: str) -> int:
    """Bytes in the folder, and in open files, which may have no name any more."""
    files: dict[tuple[int, int], int] = {}
    until = time.monotonic() + PERIOD
    for path in _files(processes, folder):
        with contextlib.suppress(OSError):
            found = path.stat() if path.parts[1] == "proc" else path.lstat()
            files[found.st_dev, found.st_ino] = found.st_blocks * 512
        if time.monotonic() > until:
            break  # so many files are looked at for as long as this, and no longer
    return sum(files.values())


def _files(processes: list[int], folder: str) -> Iterator[Path]:
    device = Path(folder).stat().st_dev
    for pid in processes:
        for entry in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                if entry.stat().st_dev == device:
                    yield entry
    for root, _, names in os.walk(folder):
        yield from (Path(root, name) for name in names)
