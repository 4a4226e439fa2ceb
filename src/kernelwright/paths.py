"""What is at a path that somebody typed: where pathlib raises, for a name too long or a folder closed to us, nothing
is."""

from __future__ import annotations

import os.path
from pathlib import Path


def is_file(path: str | Path) -> bool:
    """Whether a file is there; a pipe or a device is none."""
    return os.path.isfile(path)  # noqa: PTH113 - pathlib's raises


def is_folder(path: str | Path) -> bool:
    """Whether a folder is there."""
    return os.path.isdir(path)  # noqa: PTH112 - pathlib's raises
