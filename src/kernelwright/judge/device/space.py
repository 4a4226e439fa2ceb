"""A worker's memory on a CUDA device.

The worker says where its allocations are and hands out CUDA's handles for them; the judge opens these and copies. A
stopped process does not stop what it has queued on the device, so results are judged by a copy that the judge makes at
once, on its clock: what has not been written by then is wrong.
"""

from __future__ import annotations

import bisect
import ctypes
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernelwright.errors import MachineError
from kernelwright.judge.device.driver import HANDLE_BYTES, Refused, driver
from kernelwright.judge.memory import BadAddress, Bytes
from kernelwright.judge.space import Batching, Space

_PIECE = 4 << 20
_AT_LEAST = 16
"""So many pieces are looked at even where a share of all would be less."""
_ALIGNED = 512
_LARGEST = 1 << 40


@dataclass(frozen=True)
class _Segment:
    """One allocation of the worker's: its address there and here."""

    base: int
    size: int
    here: int


@dataclass(frozen=True)
class _Frozen:
    """A span that was copied: the worker's address, and where the copy is in the staging memory."""

    pointer: int
    size: int
    offset: int


class _Staging:
    """The judge's own copy of results: memory on the device, and the same on the host, which is filled when asked for.

    Life cycle: `reserve`, `copy`, `host`, as often as needed; `free` at the end.
    """

    def __init__(self) -> None:
        self._driver = driver()
        self._size, self._device, self._spare, self._host = 0, 0, 0, 0
        self._filled = False

    def reserve(self, size: int) -> None:
        """Makes room; what was there is gone."""
        if size > self._size:
            self.free()
            self._device, self._spare = self._driver.allocate(size), self._driver.allocate(size)
            self._host = self._driver.allocate_host(size)
            self._size = size
        self._filled = False

    def copy(self, spans: Sequence[tuple[int, int, int]], *, spare: bool = False) -> None:
        """Copies (offset, address here, bytes), or does the same with memory that nobody reads."""
        base = self._spare if spare else self._device
        self._driver.copy([(base + offset, source, size) for offset, source, size in spans])

    def host(self, size: int) -> Bytes:
        """The first `size` bytes."""
        if not self._filled:
            self._driver.to_host(self._host, self._device, size)
            self._filled = True
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(self._host))

    def free(self) -> None:
        """Gives the memory back; may be called again."""
        if self._size:
            self._size = 0
            self._driver.free(self._device)
            self._driver.free(self._spare)
            self._driver.free_host(self._host)


class DeviceSpace(Space):
    """See `Space`. Only the worker's own allocations can be reached: no address leads anywhere else."""

    batching = Batching(seconds=2e-3, calls=200, bytes=3 << 30, handover=0.9)

    def __init__(self) -> None:
        self._driver = driver()
        self._segments: list[_Segment] = []
        self._handles: dict[bytes, int] = {}
        self._staging = _Staging()
        self._frozen: list[_Frozen] = []
        self._frozen_bytes = 0

    def learn(self, news: Any) -> None:
        """See `Space.learn`: a list of [address, bytes, handle as hexadecimal digits]. What makes no sense is not
        believed: addresses in it will lead nowhere."""
        for entry in news if isinstance(news, list) else ():
            with suppress(TypeError, ValueError, Refused):
                base, size, handle = int(entry[0]), int(entry[1]), bytes.fromhex(entry[2])
                if not 0 < size <= _LARGEST or base <= 0 or len(handle) != HANDLE_BYTES:
                    continue
                if handle not in self._handles:
                    self._handles[handle] = self._driver.open(handle)
                new = _Segment(base, size, self._handles[handle])
                others = [one for one in self._segments if one.base + one.size <= base or base + size <= one.base]
                self._segments = sorted([*others, new], key=lambda one: one.base)

    def read(self, pointers: Sequence[int], size: int, out: Bytes) -> None:
        """See `Space.read`: of what is frozen as it was then."""
        for pointer, row in zip(pointers, out.reshape(len(pointers), -1) if size else (), strict=False):
            known = self._copied(pointer, size)
            if known is not None:
                np.copyto(row, known)
            else:
                with self._trusting():
                    self._driver.to_host(row.ctypes.data, self._here(pointer, size), size)

    def write(self, pointers: Sequence[int], rows: Sequence[Bytes]) -> None:
        """See `Space.write`."""
        with self._trusting():
            for pointer, row in zip(pointers, rows, strict=True):
                if row.nbytes:
                    self._driver.to_device(self._here(pointer, row.nbytes), row.ctypes.data, row.nbytes)

    def fill(self, pointer: int, size: int, byte: int) -> None:
        """See `Space.fill`."""
        if size:
            with self._trusting():
                self._driver.fill(self._here(pointer, size), byte, size)

    def equal(self, pointer: int, data: Bytes, share: float = 1.0) -> bool:
        """See `Space.equal`: what is there now, frozen or not."""
        starts: Sequence[int] = range(0, data.size, _PIECE)
        count = max(min(_AT_LEAST, len(starts)), int(np.ceil(share * len(starts))))
        if count < len(starts):
            starts = secrets.SystemRandom().sample(starts, count)
        got = np.empty(min(_PIECE, data.size), np.uint8)
        for start in starts:
            want = data[start : start + _PIECE]
            with self._trusting():
                self._driver.to_host(got.ctypes.data, self._here(pointer + start, want.size), want.size)
            if not np.array_equal(got[: want.size], want):
                return False
        return True

    def freeze(self, spans: Sequence[tuple[int, int]]) -> float:
        """See `Space.freeze`.

        Copying is done twice, the second time into memory that nobody reads: what the first takes longer is what it had
        to wait for. Spans that are not the worker's are left out; whoever reads them is told.
        """
        began = time.perf_counter()
        self._frozen, copies, offset = [], [], 0
        for pointer, size in _merged(spans):
            with suppress(BadAddress):
                copies.append((offset, self._here(pointer, size), size))
                self._frozen.append(_Frozen(pointer, size, offset))
                offset += -(-size // _ALIGNED) * _ALIGNED
        self._frozen_bytes = offset
        if not copies:
            return 0.0
        self._staging.reserve(offset)
        with self._trusting():
            self._staging.copy(copies)
            copied = time.perf_counter()
            self._staging.copy(copies, spare=True)
        return max(0.0, copied - began - (time.perf_counter() - copied))

    def close(self) -> None:
        """See `Space.close`."""
        with suppress(Refused, MachineError):
            for pointer in self._handles.values():
                self._driver.close(pointer)
            self._staging.free()
        self._handles, self._segments, self._frozen = {}, [], []

    def _here(self, pointer: int, size: int) -> int:
        """Where the judge sees an address of the worker's. Raises `BadAddress`."""
        index = bisect.bisect_right(self._segments, pointer, key=lambda one: one.base) - 1
        if index >= 0:
            segment = self._segments[index]
            if pointer + size <= segment.base + segment.size:
                return segment.here + pointer - segment.base
        raise BadAddress("it is in none of the process's allocations on the device")

    def _copied(self, pointer: int, size: int) -> Bytes | None:
        """The bytes of a span in what is frozen; None where it is not."""
        index = bisect.bisect_right(self._frozen, pointer, key=lambda one: one.pointer) - 1
        if index < 0:
            return None
        span = self._frozen[index]
        inside = pointer - span.pointer
        if inside + size > span.size:
            return None
        with self._trusting():
            copied = self._staging.host(self._frozen_bytes)
        return copied[span.offset + inside : span.offset + inside + size]

    @contextmanager
    def _trusting(self) -> Iterator[None]:
        try:
            yield
        except Refused as error:
            raise BadAddress(str(error)) from error


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same memory as (address, bytes) that do not overlap, by address."""
    merged: list[tuple[int, int]] = []
    for pointer, size in sorted(span for span in spans if span[1]):
        if merged and pointer < sum(merged[-1]):
            start = merged[-1][0]
            merged[-1] = start, max(sum(merged[-1]), pointer + size) - start
        else:
            merged.append((pointer, size))
    return merged
