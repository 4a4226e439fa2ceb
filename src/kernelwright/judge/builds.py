"""The folder of builds: one folder a candidate, what builds share, and torch.compile's cache."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

KEPT, SHARED_KEPT = 2000, 2
"""Builds are some 200 kB each, prepared headers 200 MB."""
PASSING, PASSING_S = "held-out-", 3600.0
"""What the folder of a build is called that is gone in minutes unless its process was killed, and how old one is then
that nobody needs any more."""
_BUILD = re.compile(r"[0-9a-f]{24}")


def use(folder: Path) -> None:
    """Makes a folder, or notes that it is in use."""
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)


def trim(folder: Path) -> None:
    """Removes the builds that were used longest ago, beyond `KEPT`, the headers of all but the last compilers, and what
    processes that were killed have left.

    Another process that needs one of them builds it again.
    """
    found = sorted(_folders(folder), reverse=True)
    newest = [name for _, name in found]
    old = [name for name in newest if _BUILD.fullmatch(name)][KEPT:]
    old += [name for name in newest if name.startswith("headers-")][SHARED_KEPT:]
    old += [name for used, name in found if name.startswith(PASSING) and used < time.time() - PASSING_S]
    for name in old:
        for complete in folder.glob(f"{name}*.json"):  # first, or what is gone would count as built
            complete.unlink(missing_ok=True)
        shutil.rmtree(folder / name, ignore_errors=True)


def _folders(folder: Path) -> Iterator[tuple[float, str]]:
    """When each was used last, and its name; other processes make and remove some meanwhile."""
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    yield entry.stat(follow_symlinks=False).st_mtime, entry.name
            except FileNotFoundError:
                continue
