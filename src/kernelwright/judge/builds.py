"""The folder of builds: one folder a candidate, what builds share, and torch.compile's cache."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

KEPT, SHARED_KEPT = 2000, 2
"""Builds are some 200 kB each, prepared headers 200 MB."""
_BUILD = re.compile(r"[0-9a-f]{24}")


def use(folder: Path) -> None:
    """Makes a folder, or notes that it is in use."""
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)


def trim(folder: Path) -> None:
    """Removes the builds that were used longest ago, beyond `KEPT`, and the headers of all but the last compilers.

    Another process that needs one of them builds it again.
    """
    with os.scandir(folder) as entries:
        found = [(entry.stat().st_mtime, entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)]
    newest = [name for _, name in sorted(found, reverse=True)]
    old = [name for name in newest if _BUILD.fullmatch(name)][KEPT:]
    old += [name for name in newest if name.startswith("headers-")][SHARED_KEPT:]
    for name in old:
        for complete in folder.glob(f"{name}*.json"):  # first, or what is gone would count as built
            complete.unlink(missing_ok=True)
        shutil.rmtree(folder / name, ignore_errors=True)
