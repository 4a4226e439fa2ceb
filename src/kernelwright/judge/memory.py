"""Reading and writing a stopped worker's memory, so that it has no say in what its results are.

Everything here takes addresses that the worker claimed; a wrong one hurts nobody but the claimant.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernelwright.errors import MachineError

Bytes = npt.NDArray[np.uint8]

_libc = ctypes.CDLL(None, use_errno=True)
_BATCH = 512
"""Ranges a call; the kernel takes 1,024 at most."""


class _Range(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]  # noqa: RUF012 - ctypes' own way


class BadAddress(Exception):
    """The address the worker gave is not (wholly) mapped in it."""


def read(pid: int, pointers: Sequence[int], size: int, out: Bytes) -> None:
    """Copies `size` bytes from each address of process `pid` into the rows of `out`, a C-contiguous (len(pointers), size) array.

    Raises:
        BadAddress: one of them is not mapped there.
        MachineError: the kernel does not let us.
    """
    _transfer(_libc.process_vm_readv, pid, pointers, size, out)


def write(pid: int, pointers: Sequence[int], size: int, data: Bytes) -> None:
    """Copies the rows of `data`, a C-contiguous (len(pointers), size) array, to the addresses in process `pid`. Raises as `read`."""
    _transfer(_libc.process_vm_writev, pid, pointers, size, data)


def all_stopped(pid: int) -> bool:
    """Whether every thread of the process is stopped (or it has ended)."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - names are all we need, a hundred times a second
        return all(_state(f"/proc/{pid}/task/{thread}/stat") in "TtZX" for thread in threads)
    except FileNotFoundError:
        return True


def descendants(pid: int) -> list[int]:
    """The process and everything it started that still runs."""
    found, queue = [], [pid]
    while queue:
        current = queue.pop()
        found.append(current)
        for listing in Path(f"/proc/{current}/task").glob("*/children"):
            try:
                queue += [int(child) for child in listing.read_text().split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def _state(path: str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - hot
            return chr(file.read(512).rpartition(b")")[2][1])
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def _transfer(function: ctypes._NamedFuncPointer, pid: int, pointers: Sequence[int], size: int, array: Bytes) -> None:  # type: ignore[name-defined]
    if size == 0 or not pointers:
        return
    if not array.flags.c_contiguous or array.nbytes != len(pointers) * size:
        raise ValueError("the array must be C-contiguous, one row an address")
    address = array.ctypes.data
    step = _BATCH if size < 1 << 20 else 1
    for start in range(0, len(pointers), step):
        group = pointers[start : start + step]
        remote = (_Range * len(group))(*[_Range(pointer, size) for pointer in group])
        done = 0
        total = size * len(group)
        local = _Range(address + start * size, total)
        done = function(pid, ctypes.byref(local), 1, remote, len(group), 0)
        if done != total:
            _explain(done, ctypes.get_errno(), total)


def _explain(done: int, code: int, total: int) -> None:
    if done < 0 and code == 1:
        raise MachineError(
            "the kernel does not let one process read another's memory",
            remedy="allow process_vm_readv (in a container: --cap-add SYS_PTRACE, or a kernel of 4.8 or newer)",
        )
    raise BadAddress(f"{max(done, 0)} of {total} bytes are mapped" if done >= 0 else os.strerror(code))
