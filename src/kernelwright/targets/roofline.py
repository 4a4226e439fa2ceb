"""The roofline: no kernel moves bytes or does arithmetic faster than the device.

S. Williams, A. Waterman, D. Patterson, "Roofline", CACM 52(4), 2009. We depart from it in that the slope depends on how
much data there is (caches) and on how much of it is written.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kernelwright.targets.base import Ceilings

if TYPE_CHECKING:
    from kernelwright.tasks import CaseInfo


def floor_us(case: CaseInfo, ceilings: Ceilings) -> float:
    """The time in µs that a kernel for this case takes at least if it does all the arithmetic of the reference:
    max(bytes / bandwidth, FLOPs / rate)."""
    return max(traffic_us(case, ceilings), arithmetic_us(case, ceilings))


def traffic_us(case: CaseInfo, ceilings: Ceilings) -> float:
    """The time in µs that no kernel for this case can beat: that of reading its inputs and writing its outputs."""
    return 1e6 * case.bytes / bandwidth_of(case, ceilings)


def arithmetic_us(case: CaseInfo, ceilings: Ceilings) -> float:
    """The time in µs that the reference's arithmetic takes at least; 0 where its rate has not been measured. A kernel
    may do with less: it skips what a mask makes 0, or has another algorithm (Winograd's convolution)."""
    rate = _flop_rate(case, ceilings)
    return 1e6 * case.flops / rate if rate else 0.0


def written_share(case: CaseInfo) -> float:
    """The part of a case's least traffic that is written, 0 to 1."""
    return case.written_bytes / case.bytes if case.bytes else 0.0


def bandwidth_of(case: CaseInfo, ceilings: Ceilings) -> float:
    """Bytes/s at which a case's least traffic can go."""
    return bandwidth_at(case.bytes, written_share(case), ceilings)


def bandwidth_at(size: float, written: float, ceilings: Ceilings) -> float:
    """Bytes/s over `size` bytes of which the share `written` is written and the rest read: what is both read and
    written goes as fast as a copy, what remains as fast as a read or a write alone."""
    both = 2 * min(written, 1 - written)
    seconds = both / _interpolated(size, ceilings.bandwidth["copy"])
    seconds += (1 - both) / _interpolated(size, ceilings.bandwidth["read" if written < 0.5 else "write"])
    return 1 / seconds


def _interpolated(size: float, curve: Sequence[tuple[int, float]]) -> float:
    """Straight lines over logarithms, beyond the measured sizes the nearest."""
    sizes = [size for size, _ in curve]
    rates = [rate for _, rate in curve]
    index = bisect_left(sizes, size)
    if index == 0:
        return rates[0]
    if index == len(sizes):
        return rates[-1]
    span = math.log(sizes[index] / sizes[index - 1])
    share = math.log(size / sizes[index - 1]) / span
    return math.exp((1 - share) * math.log(rates[index - 1]) + share * math.log(rates[index]))


def _flop_rate(case: CaseInfo, ceilings: Ceilings) -> float | None:
    """The fastest rate among the dtypes that go in and come out; None where one of them has no measured rate."""
    tensors = [*(argument.tensor for argument in case.inputs if argument.tensor), *case.outputs]
    dtypes = {tensor.dtype for tensor in tensors if "float" in tensor.dtype} | ({case.dtype} if case.dtype else set())
    rates = [ceilings.flops.get(dtype) for dtype in dtypes]
    known = [rate for rate in rates if rate]
    return max(known) if known and len(known) == len(rates) else None
