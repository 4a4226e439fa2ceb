"""Room for what the judge keeps between candidates: large arrays lie in files without names, so that the system can
write them out and take their memory back, which it cannot do with a process's own."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from kernelwright.home import home

LARGE = 16 << 20
"""Bytes from which on an array lies in a file: below, a file costs more than it gives back."""


def room(shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array of anything, C-contiguous. A large one lies in a file in Kernelwright's own folder, which no candidate
    sees, and goes with the array; in memory where that folder has no room for it."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size >= LARGE:
        with suppress(OSError), tempfile.TemporaryFile(dir=home()) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a disk that is full says so here, and not by SIGBUS later
            return np.frombuffer(mmap.mmap(file.fileno(), size), dtype).reshape(tuple(shape))
    return np.empty(tuple(shape), dtype)
