"""The roofline: no kernel moves bytes or does arithmetic faster than the device.

S. Williams, A. Waterman, D. Patterson, "Roofline", CACM 52(4), 2009.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING

from kernelwright.targets.base import Ceilings

if TYPE_CHECKING:
    from kernelwright.tasks import CaseInfo


def floor_us(case: CaseInfo, ceilings: Ceilings, working_set: int = 0) -> float:
    """The time in µs that no kernel for this case can beat: max(bytes / bandwidth, FLOPs / rate).

    `working_set` is how many bytes the timed calls go through before they meet the same ones again.
    """
    bandwidth = bandwidth_at(max(case.bytes, working_set), ceilings)
    traffic = case.bytes / bandwidth
    rate = _flop_rate(case, ceilings)
    return 1e6 * max(traffic, case.flops / rate if rate else 0.0)


def bandwidth_at(working_set: float, ceilings: Ceilings) -> float:
    """Bytes/s at a working set: straight lines over logarithms, beyond the measured sizes the nearest."""
    sizes = [size for size, _ in ceilings.bandwidth]
    rates = [rate for _, rate in ceilings.bandwidth]
    index = bisect_left(sizes, working_set)
    if index == 0:
        return rates[0]
    if index == len(sizes):
        return rates[-1]
    span = math.log(sizes[index] / sizes[index - 1])
    share = math.log(working_set / sizes[index - 1]) / span
    return math.exp((1 - share) * math.log(rates[index - 1]) + share * math.log(rates[index]))


def attainable_flops(intensity: float, ceilings: Ceilings, dtype: str, working_set: float) -> float:
    """FLOP/s that the roof allows at `intensity` FLOP/byte: min(FLOP rate, intensity * bandwidth)."""
    return min(ceilings.flops[dtype], intensity * bandwidth_at(working_set, ceilings))


def _flop_rate(case: CaseInfo, ceilings: Ceilings) -> float | None:
    """The fastest rate among the dtypes that go in and come out; None where one of them has no measured rate."""
    tensors = [*(argument.tensor for argument in case.inputs if argument.tensor), *case.outputs]
    dtypes = {tensor.dtype for tensor in tensors if "float" in tensor.dtype} | ({case.dtype} if case.dtype else set())
    rates = [ceilings.flops.get(dtype) for dtype in dtypes]
    known = [rate for rate in rates if rate]
    return max(known) if known and len(known) == len(rates) else None
