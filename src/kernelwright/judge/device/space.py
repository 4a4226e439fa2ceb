"""A worker's memory on a CUDA device.

The worker says where its allocations are and hands out CUDA's handles for them; the judge opens these and copies. A
stopped process does not stop what it has queued on the device, so results are judged by a copy that the judge makes as
soon as they are said to be there: what has not been written by then is wrong, and what is being written then is fraud.
"""

from __future__ import annotations

import bisect
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernelwright.errors import MachineError
from kernelwright.judge.device.driver import Refused, driver
from kernelwright.judge.device.own_memory import Staging, uploads
from kernelwright.judge.memory import BadAddress, Bytes, sampled
from kernelwright.judge.space import Batching, Space, Unfinished
from kernelwright.judge.wire import HANDLE_BYTES

_PIECE = 4 << 20
_PEEKS, _PEEK_BYTES = 2, 64
"""Places that are looked at first of all, beside one in the last result; more would take longer than a short kernel."""
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
    """A span that is copied: the worker's address, and where the copy is in the staging memory."""

    pointer: int
    size: int
    offset: int

    @property
    def end(self) -> int:
        """The address after it."""
        return self.pointer + self.size


@dataclass(frozen=True)
class _Peek:
    """A few bytes that are read at once: where they are seen here, where their copy is in the staging memory."""

    here: int
    offset: int
    seen: Bytes


class DeviceSpace(Space):
    """See `Space`. Only the worker's own allocations can be reached: no address leads anywhere else."""

    batching = Batching(seconds=2e-3, calls=200, bytes=3 << 30, many=32, handover=0.9)

    def __init__(self) -> None:
        self._driver = driver()
        self._segments: list[_Segment] = []
        self._handles: dict[bytes, int] = {}
        self._own: Staging | None = None
        self._aimed: list[tuple[_Frozen, int]] = []
        self._peeks: list[_Peek] = []
        self._frozen: list[_Frozen] = []
        self._bytes = 0

    def learn(self, news: Any) -> None:
        """See `Space.learn`: a list of [address, bytes, handle as hexadecimal digits]. What makes no sense is not
        believed: addresses in it will lead nowhere."""
        for entry in news if isinstance(news, list) else ():
            with suppress(LookupError, OverflowError, TypeError, ValueError, Refused):
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
            known = self.frozen(pointer, size)
            if known is not None:
                np.copyto(row, known)
            else:
                with self._trusting():
                    self._driver.to_host(row.ctypes.data, self._here(pointer, size), size)

    def frozen(self, pointer: int, size: int) -> Bytes | None:
        """See `Space.frozen`."""
        index = bisect.bisect_right(self._frozen, pointer, key=lambda one: one.pointer) - 1
        if index < 0:
            return None
        span = self._frozen[index]
        inside = pointer - span.pointer
        if inside + size > span.size:
            return None
        with self._trusting():
            copied = self._staging.host(self._bytes)
        return copied[span.offset + inside : span.offset + inside + size]

    def write(self, pointers: Sequence[int], rows: Sequence[Bytes]) -> None:
        """See `Space.write`."""
        with self._trusting():
            for pointer, row in zip(pointers, rows, strict=True):
                if row.nbytes:
                    uploads().write(self._here(pointer, row.nbytes), row)

    def fill(self, pointer: int, size: int, byte: int) -> None:
        """See `Space.fill`."""
        if size:
            with self._trusting():
                self._driver.fill(self._here(pointer, size), byte, size)

    def equal(self, pointer: int, data: Bytes, share: float = 1.0) -> bool:
        """See `Space.equal`: what is there now, frozen or not."""
        got = np.empty(min(_PIECE, data.size), np.uint8)
        for start in sampled(data.size, _PIECE, share):
            want = data[start : start + _PIECE]
            with self._trusting():
                self._driver.to_host(got.ctypes.data, self._here(pointer + start, want.size), want.size)
            if not np.array_equal(got[: want.size], want):
                return False
        return True

    def aim(self, results: Iterable[tuple[int, int]]) -> None:
        """See `Space.aim`. Spans that are not the worker's are left out, before they could swallow others that overlap
        them; whoever reads them is told."""
        self._frozen, self._aimed, offset = [], [], 0
        spans = [span for span in results if self._holds(*span)]
        for pointer, size in _merged(spans):
            self._aimed.append((_Frozen(pointer, size, offset), self._here(pointer, size)))
            offset += -(-size // _ALIGNED) * _ALIGNED
        self._bytes = offset
        if offset:
            self._staging.reserve(offset)
        last = spans[-1][0] if spans else 0
        self._peeks = [self._peek(span, here) for span, here in self._aimed if span.pointer <= last < span.end]
        self._peeks += [self._peek(*secrets.choice(self._aimed)) for _ in range(_PEEKS if self._aimed else 0)]

    def freeze(self) -> None:
        """See `Space.freeze`.

        A few bytes in places that nobody knows, among them some of the last result, are read at once, which takes a few
        microseconds; what is copied then must be the same.
        """
        with self._trusting():
            for peek in self._peeks:
                self._driver.to_host(peek.seen.ctypes.data, peek.here, peek.seen.size)
            copies = [(self._staging.device + span.offset, here, span.size) for span, here in self._aimed]
            self._driver.copy(copies)
            for peek in self._peeks:
                kept = np.empty_like(peek.seen)
                self._driver.to_host(kept.ctypes.data, self._staging.device + peek.offset, kept.size)
                if not np.array_equal(kept, peek.seen):
                    raise Unfinished
        self._frozen = [span for span, _ in self._aimed]

    @staticmethod
    def _peek(span: _Frozen, here: int) -> _Peek:
        """A place in a span."""
        size = min(span.size, _PEEK_BYTES)
        at = secrets.randbelow(span.size - size + 1)
        return _Peek(here + at, span.offset + at, np.empty(size, np.uint8))

    def close(self) -> None:
        """See `Space.close`."""
        with suppress(Refused, MachineError):
            for pointer in self._handles.values():
                self._driver.close(pointer)
        if self._own is not None:
            self._own.put_back()
            self._own = None
        self._handles, self._segments, self._aimed, self._frozen = {}, [], [], []

    @property
    def _staging(self) -> Staging:
        """Taken once there are results: a worker that only gets ready needs none."""
        if self._own is None:
            self._own = Staging.take()
        return self._own

    def _here(self, pointer: int, size: int) -> int:
        """Where the judge sees an address of the worker's. Raises `BadAddress`."""
        index = bisect.bisect_right(self._segments, pointer, key=lambda one: one.base) - 1
        if index >= 0:
            segment = self._segments[index]
            if pointer + size <= segment.base + segment.size:
                return segment.here + pointer - segment.base
        raise BadAddress("it is in none of the process's allocations on the device")

    def _holds(self, pointer: int, size: int) -> bool:
        """Whether a span is the worker's."""
        try:
            self._here(pointer, size)
        except BadAddress:
            return False
        return True

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
