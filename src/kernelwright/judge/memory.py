"""Reading and writing a stopped worker's memory, so that it has no say in what its results are.

Everything here takes addresses that the worker claimed; a wrong one hurts nobody but the claimant.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Item = TypeVar("Item")
Made = TypeVar("Made")

_libc = ctypes.CDLL(None, use_errno=True)
_BATCH = 512
"""Ranges a call; the kernel takes 1,024 at most."""
_CPU_CLOCK = 2
"""The kernel's clock of what the scheduler gave a process, in the three low bits of the clock's number."""
_own = threading.local()
"""What each thread has for itself: its scratch memory, and whether it is one of the pool's."""
_PIECE = 1 << 20
"""Bytes that one thread moves at a time: large ranges go in parallel, and pieces stay in the cache for whoever compares
them."""
_AT_LEAST = 16
"""So many pieces are looked at even where a share of all would be less."""


def _join_pool() -> None:
    _own.pooled = True
    os.sched_setaffinity(0, os.sched_getaffinity(os.getpid()))  # whoever asked first may be bound to one core just now


_POOL = ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="judge", initializer=_join_pool)
"""Threads for moving and comparing; they sleep when there is nothing to do, unlike OpenMP's, which would spin while we
time. Only `spread` uses them."""


class _Range(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Gone(Exception):
    """The process has ended."""


class BadAddress(Exception):
    """The address the worker gave is not (wholly) mapped in it."""


class Forbidden(Exception):
    """The kernel does not let us: on a machine that allows it, the process has seen to that."""


def spread(work: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """`work` on each item, in the pool's threads; one after the other in the thread that asks if that is one of them,
    since they must never wait for each other."""
    if getattr(_own, "pooled", False):
        return [work(item) for item in items]
    return list(_POOL.map(work, items))


def read(pid: int, pointers: Sequence[int], size: int, out: Bytes) -> None:
    """Copies `size` bytes from each address of process `pid` into the rows of `out`, a C-contiguous (len(pointers),
    size) array.

    Raises:
        BadAddress: one of them is not mapped there.
        Gone: the process has ended.
        Forbidden: the kernel does not let us.
    """
    _transfer(_libc.process_vm_readv, pid, pointers, size, out)


def write(pid: int, pointers: Sequence[int], rows: Sequence[Bytes]) -> None:
    """Copies rows of one length, C-contiguous each, to the addresses in process `pid`. Raises as `read`."""
    if len(rows) != len(pointers) or any(row.size != rows[0].size for row in rows):
        raise ValueError("there must be one row an address, all of one length")
    if rows[0].size < _PIECE:
        _transfer(
            _libc.process_vm_writev, pid, pointers, rows[0].size, rows[0][None] if len(rows) == 1 else np.stack(rows)
        )
        return
    for pointer, row in zip(pointers, rows, strict=True):
        _transfer(_libc.process_vm_writev, pid, [pointer], row.size, row[None])


def fill(pid: int, pointer: int, size: int, byte: int) -> None:
    """Sets `size` bytes at an address of process `pid`. Raises as `read`."""
    pattern = np.full((1, min(size, _PIECE)), byte, np.uint8)

    def piece(start: int) -> None:
        length = min(_PIECE, size - start)
        _transfer(_libc.process_vm_writev, pid, [pointer + start], length, np.ascontiguousarray(pattern[:, :length]))

    spread(piece, range(0, size, _PIECE))


def equal(pid: int, pointer: int, data: Bytes, share: float = 1.0) -> bool:
    """Whether the bytes at an address of process `pid` are those of the one-dimensional `data`; where they are many,
    about a `share` of them is looked at, nobody knows which. Raises as `read`."""

    def piece(start: int) -> bool:
        want = data[start : start + _PIECE]
        got = scratch(want.size)
        _transfer(_libc.process_vm_readv, pid, [pointer + start], want.size, got)
        return np.array_equal(got[0], want)

    return all(spread(piece, sampled(data.size, _PIECE, share)))


def sampled(size: int, piece: int, share: float) -> Sequence[int]:
    """Where the pieces of `size` bytes begin that are looked at: all of few, else a `share`, nobody knows which."""
    starts = range(0, size, piece)
    count = max(min(_AT_LEAST, len(starts)), math.ceil(share * len(starts)))
    return starts if count == len(starts) else secrets.SystemRandom().sample(starts, count)


def scratch(size: int) -> Bytes:
    """A (1, size) array that is valid until this thread asks for the next: fresh memory would cost a page fault every 4
    KiB."""
    held: Bytes | None = getattr(_own, "data", None)
    if held is None or held.size < size:
        held = _own.data = np.empty(max(size, _PIECE), np.uint8)
    return held[:size].reshape(1, size)


def all_stopped(pid: int) -> bool:
    """Whether every thread of the process is stopped (or it has ended)."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - names are all we need, a hundred times a second
        return all(_state(f"/proc/{pid}/task/{thread}/stat") in "TtZX" for thread in threads)
    except FileNotFoundError:
        return True


def catches(pid: int, number: int) -> bool:
    """Whether the process has a handler of its own for a signal. Raises `Gone`."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise Gone from error
    caught = re.search(rb"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


def crowded(pid: int) -> bool:
    """Whether the threads of a stopped process, and what else wants to run on this machine now, want more cores than
    there are. Nothing that the process does can make it so."""
    with open("/proc/loadavg", "rb") as file:  # noqa: PTH123 - hot
        others = int(file.read().split()[3].partition(b"/")[0]) - 1  # the thread that asks is one of them
    with suppress(FileNotFoundError, ProcessLookupError):
        return others > 0 and others + len(os.listdir(f"/proc/{pid}/task")) > (os.cpu_count() or 1)  # noqa: PTH208
    return False


def cpu_seconds(pid: int) -> float:
    """The time that the process has spent on any core. Raises `ProcessLookupError`."""
    try:
        return time.clock_gettime((~pid << 3) | _CPU_CLOCK)
    except OSError as error:
        raise ProcessLookupError from error


def descendants(pid: int) -> list[int]:
    """The process and everything it started that still runs."""
    found, queue = [], [pid]
    while queue:
        current = queue.pop()
        found.append(current)
        with suppress(FileNotFoundError, ProcessLookupError):
            for thread in Path(f"/proc/{current}/task").iterdir():
                with suppress(FileNotFoundError, ProcessLookupError):
                    queue += [int(child) for child in (thread / "children").read_text().split()]
    return found


def _state(path: str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - hot
            return chr(file.read(512).rpartition(b")")[2][1])
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def _transfer(function: Any, pid: int, pointers: Sequence[int], size: int, array: Bytes) -> None:
    if size == 0 or not pointers:
        return
    if not array.flags.c_contiguous or array.nbytes != len(pointers) * size:
        raise ValueError("the array must be C-contiguous, one row an address")
    address = array.ctypes.data
    if len(pointers) == 1 and size > _PIECE:
        starts = range(0, size, _PIECE)
        spread(lambda at: _copy(function, pid, address + at, [pointers[0] + at], min(_PIECE, size - at)), starts)
        return
    for start in range(0, len(pointers), _BATCH):
        _copy(function, pid, address + start * size, pointers[start : start + _BATCH], size)


def _copy(function: Any, pid: int, address: int, pointers: Sequence[int], size: int) -> None:
    total = size * len(pointers)
    remote = (_Range * len(pointers))(*[_Range(pointer, size) for pointer in pointers])
    local = _Range(address, total)
    done = function(pid, ctypes.byref(local), 1, remote, len(pointers), 0)
    if done != total:
        _explain(done, ctypes.get_errno(), total)


def _explain(done: int, code: int, total: int) -> None:
    if done < 0 and code == errno.EPERM:
        raise Forbidden("the kernel forbids it")
    if done < 0 and code == errno.ESRCH:
        raise Gone
    raise BadAddress(f"{max(done, 0)} of {total} bytes are mapped" if done >= 0 else os.strerror(code))
