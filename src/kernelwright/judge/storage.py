"""Room for what the judge keeps between candidates: large arrays lie in files without names, so that the system can
write them out and take their memory back, which it cannot do with a process's own."""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from kernelwright.home import home

LARGE = 16 << 20
"""Bytes from which on an array lies in a file: below, a file costs more than it gives back."""
LEFT_FREE = 1 << 30
"""Bytes of the disk that are left to the store and to builds."""


def room(shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array of anything, C-contiguous. A large one lies in a file in Kernelwright's own folder, which never has a
    name and goes with the array; in memory where the disk is nearly full, or its file system knows no such files."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size >= LARGE:
        with suppress(OSError):
            if shutil.disk_usage(home()).free > size + LEFT_FREE:
                return np.frombuffer(_mapped(size), dtype).reshape(tuple(shape))
    return np.empty(tuple(shape), dtype)


def give_back() -> None:
    """Has the system take back what was freed: the allocator keeps whatever lies below a small array that is in use."""
    ctypes.CDLL(None).malloc_trim(0)


def _mapped(size: int) -> mmap.mmap:
    """A new file's contents, its blocks taken: a disk that is full says so here, and not by SIGBUS later. Raises
    `OSError`."""
    file = os.open(home(), os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(file, 0, size)
        return mmap.mmap(file, size)
    finally:
        os.close(file)
