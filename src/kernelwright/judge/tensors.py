"""Tensors on the trusted side: numpy arrays with torch's dtypes, moved between the judge and its workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from kernelwright.judge import memory, storage
from kernelwright.judge.process import Worker
from kernelwright.tasks import TensorInfo

Array = npt.NDArray[Any]

STORED: dict[str, Any] = {
    "float64": np.float64, "float32": np.float32, "float16": np.float16, "bfloat16": np.uint16, "int64": np.int64,
    "int32": np.int32, "int16": np.int16, "int8": np.int8, "uint8": np.uint8, "bool": np.bool_, "uint16": np.uint16,
    "uint32": np.uint32, "uint64": np.uint64, "complex64": np.complex64, "complex128": np.complex128,
    "float8_e4m3fn": np.uint8, "float8_e5m2": np.uint8,
}  # fmt: skip
"""The numpy dtype that holds each of torch's; bfloat16 as its bits."""
UNIT_ROUNDOFF = {
    "float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8, "complex64": 2.0**-24,
    "complex128": 2.0**-53,
}  # fmt: skip
LARGE = 1 << 20
"""Bytes from which on results of several calls are read one after the other, a part at a time."""
MAX_SPAN, FREE_SPAN = 4, 64 << 20
"""A strided tensor may spread over this many times its own elements, or over this many bytes if that is more; the judge
reads no more of a worker's memory than that."""


class BadTensor(Exception):
    """What the worker says of a tensor cannot be true: unknown dtype, negative sizes, an address that is not mapped."""


class UnknownDtype(BadTensor):
    """A dtype that the judge does not know."""


@dataclass(frozen=True)
class Claim:
    """A tensor as a worker described it: checked for sense, not for truth."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    pointer: int

    @classmethod
    def parse(cls, data: Any) -> Claim:
        """From a reply. Raises `BadTensor`."""
        try:
            shape, strides = tuple(map(int, data["shape"])), tuple(map(int, data["strides"]))
            claim = cls(shape, strides, str(data["dtype"]), int(data["pointer"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BadTensor("not a description of a tensor") from error
        if max((*shape, *strides, claim.pointer, 0)) >= 1 << 63:
            raise BadTensor("a tensor larger than any memory")
        if len(shape) != len(strides) or min((*shape, *strides, claim.pointer, 0)) < 0:
            raise BadTensor(f"a tensor of shape {shape} with strides {strides}")
        if claim.dtype not in STORED:
            raise UnknownDtype(f"dtype {claim.dtype[:40]} is not supported")
        return claim

    @property
    def info(self) -> TensorInfo:
        """Without the address."""
        return TensorInfo(shape=self.shape, dtype=self.dtype, strides=self.strides)

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return int(np.prod(self.shape, dtype=np.int64)) if self.shape else 1

    @property
    def contiguous(self) -> bool:
        """Whether its elements lie in order without gaps."""
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if size != 1 and stride != expected:
                return self.elements == 0
            expected *= size
        return True

    @property
    def span(self) -> int:
        """Elements between its first and last, both counted."""
        if self.elements == 0:
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))

    @property
    def span_bytes(self) -> int:
        """Bytes that the judge reads or writes for it."""
        return self.span * int(np.dtype(STORED[self.dtype]).itemsize)


def read(worker: Worker, claims: Sequence[Claim], *, kept: bool = False) -> Array:
    """The contents of like tensors of a stopped worker, stacked: shape (len(claims), *shape), a strided view where they
    are strided. What is `kept` for long lies where the system can take its memory back.

    Raises:
        BadTensor: they differ in shape or dtype, spread too far, or their memory is not mapped.
    """
    first = claims[0]
    if any((claim.shape, claim.dtype) != (first.shape, first.dtype) for claim in claims):
        raise BadTensor("outputs of like calls differ in shape or dtype")
    widest = max(claims, key=lambda claim: claim.span)
    if widest.span > MAX_SPAN * max(first.elements, 1) and len(claims) * widest.span_bytes > FREE_SPAN:
        raise BadTensor(f"strides {widest.strides} spread {widest.elements} elements over {widest.span}")
    if any(claim.strides != first.strides for claim in claims):
        return np.stack([read(worker, [claim], kept=kept)[0] for claim in claims])
    stored = np.dtype(STORED[first.dtype])
    data = (storage.room if kept else np.empty)((len(claims), first.span), stored)
    try:
        worker.space.read(
            [claim.pointer for claim in claims],
            first.span_bytes,
            data.view(np.uint8).reshape(len(claims), -1),
        )
    except memory.BadAddress as error:
        raise BadTensor(f"the memory of an output cannot be read: {error}") from error
    strides = (data.strides[0], *[stride * stored.itemsize for stride in first.strides])
    view: Array = np.lib.stride_tricks.as_strided(data, (len(claims), *first.shape), strides, writeable=False)
    return view


def fetcher(worker: Worker, claims: Sequence[Claim]) -> Callable[[int, int], Array]:
    """A function that reads flat elements of the stacked tensors, from one index up to another, out of the stopped
    worker.

    Raises:
        BadTensor: as `read`; also the function itself.
    """
    first = claims[0]
    several = len(claims) > 1
    if (several and first.span_bytes < LARGE) or not all(
        claim.contiguous and (claim.shape, claim.dtype) == (first.shape, first.dtype) for claim in claims
    ):
        flat = np.ascontiguousarray(read(worker, claims)).reshape(-1)
        return lambda start, stop: flat[start:stop]
    stored = np.dtype(STORED[first.dtype])

    def piece(start: int, stop: int) -> memory.Bytes:
        """Flat elements that are all of one tensor."""
        index, inside = divmod(start, first.elements)
        pointer, size = claims[index].pointer + inside * stored.itemsize, (stop - start) * stored.itemsize
        try:
            held = worker.space.frozen(pointer, size)
            if held is None:
                worker.space.read([pointer], size, part := memory.scratch(size))
                held = part[0]
        except memory.BadAddress as error:
            raise BadTensor(f"the memory of an output cannot be read: {error}") from error
        return held

    def fetch(start: int, stop: int) -> Array:
        ends = range(start - start % first.elements + first.elements, stop, first.elements)
        pieces = pairwise([start, *ends, stop])
        held = np.concatenate([piece(*one).copy() for one in pieces]) if ends else piece(start, stop)
        row: Array = held.view(stored)
        return row if row.flags.aligned else row.copy()  # an address may be any number

    return fetch


def raw(worker: Worker, claim: Claim, *, kept: bool = False) -> memory.Bytes:
    """The bytes from a tensor's first element to its last; `kept` as for `read`."""
    data: memory.Bytes = (storage.room if kept else np.empty)((1, claim.span_bytes), np.uint8)
    try:
        worker.space.read([claim.pointer], claim.span_bytes, data)
    except memory.BadAddress as error:
        raise BadTensor(f"the memory of a tensor cannot be read: {error}") from error
    row: memory.Bytes = data[0]
    return row


def laid_out(array: Array, dtype: str, target: Claim) -> memory.Bytes:
    """The bytes of a tensor like `target` that holds the values of an array of torch dtype `dtype`.

    Raises:
        BadTensor: it has gaps, or its dtype does not take these values (floats become other floats, nothing else).
    """
    stored = np.dtype(STORED[target.dtype])
    if dtype != target.dtype:
        floats = ("float16", "float32", "float64")
        if target.dtype not in floats or dtype not in (*floats, "bfloat16"):
            raise BadTensor(f"{target.dtype} where the reference has {dtype}")
        array = widen(array, dtype).astype(stored)
    if target.span != target.elements:
        raise BadTensor(f"strides {target.strides} leave gaps between {target.elements} elements")
    row = np.empty(target.span, stored)
    strides = [stride * stored.itemsize for stride in target.strides]
    np.lib.stride_tricks.as_strided(row, target.shape, strides)[...] = array
    return row.view(np.uint8)


def fill(worker: Worker, pointers: Sequence[int], rows: Sequence[memory.Bytes]) -> None:
    """Writes a row of bytes to each address of a stopped worker, all of one length. Raises `BadTensor`."""
    try:
        worker.space.write(pointers, rows)
    except memory.BadAddress as error:
        raise BadTensor(f"the memory of an input cannot be written: {error}") from error


def widen(array: Array, dtype: str) -> Array:
    """Values as float64 (complex128 for complex), whatever torch dtype the array holds."""
    if dtype == "bfloat16":
        return (array.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    if dtype.startswith("complex"):
        return array.astype(np.complex128)
    with np.errstate(invalid="ignore"):  # a candidate may return any bits, signalling NaNs too
        return array.astype(np.float64, copy=False)


def single(array: Array, dtype: str) -> Array:
    """The values of a contiguous array of 16-bit floats as float32, which holds all of them."""
    flat, out = array.reshape(-1), np.empty(array.size, np.float32)
    step = LARGE // out.itemsize

    def part(start: int) -> None:
        values, room = flat[start : start + step], out[start : start + step]
        if dtype == "bfloat16":
            np.left_shift(values, 16, out=room.view(np.uint32), dtype=np.uint32)
        else:
            with np.errstate(invalid="ignore"):  # signalling NaNs
                room[:] = values

    memory.spread(part, range(0, flat.size, step))
    return out.reshape(array.shape)


def nudged(data: memory.Bytes, dtype: str) -> memory.Bytes:
    """The bytes of a tensor with every finite number moved towards 0, if it is not there: by two steps of 16 bits, by a
    4000th to an 8000th of wider ones."""
    if dtype not in UNIT_ROUNDOFF:
        return data
    size = np.dtype(STORED[dtype]).itemsize // (2 if dtype.startswith("complex") else 1)
    bits = np.ascontiguousarray(data).view(f"u{size}")
    exponent = {"bfloat16": 0x7F80, "float16": 0x7C00}.get(dtype) or {4: 0x7F800000, 8: 0x7FF0 << 48}[size]
    steps = np.array({2: 2, 4: 1 << 11, 8: 1 << 40}[size], bits.dtype)
    plain = (bits << 1 > steps << 1) & (bits & exponent != exponent)
    return np.where(plain, bits - steps, bits).view(np.uint8)
