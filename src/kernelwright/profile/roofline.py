"""The first depth: how far from the roof, and which roof it is."""

from __future__ import annotations

from collections.abc import Iterator

from kernelwright import format as fmt
from kernelwright.profile.base import BOUNDS, Depth, Fact, Subject
from kernelwright.targets.roofline import arithmetic_us, bandwidth_of

_ALL = tuple(BOUNDS)


class Roofline(Depth):
    """The judge's time against the least traffic and the least arithmetic at the measured ceilings (Williams, Waterman,
    Patterson 2009). FLOPs are those of products: elementwise arithmetic is not counted."""

    def facts(self, subject: Subject) -> Iterator[Fact]:
        """See `Depth`. `memory_us` and `arithmetic_us` are what each roof takes."""
        case, time_us = subject.case, subject.timing.time_us
        rate = bandwidth_of(case, subject.ceilings)
        traffic_us, arithmetic = 1e6 * case.bytes / rate, arithmetic_us(case, subject.ceilings)
        floor_us = subject.timing.floor_us
        share = floor_us / time_us
        told = f"{fmt.time(time_us)}, and the floor is {fmt.time(floor_us)}: {fmt.percent(share)} of the roof"
        yield Fact(name="roof_share", value=share, text=told, by="judge", about=_ALL)
        if case.bytes:
            told = f"least traffic {fmt.size(case.bytes)}, {fmt.time(traffic_us)} at {fmt.rate(rate, 'B/s')}"
            told += f"; in the time it takes {time_us / traffic_us:.1f} times as much could be moved"
            yield Fact(name="memory_us", value=traffic_us, text=told, by="judge", about=("memory",))
        if arithmetic:
            told = f"products of {fmt.count(case.flops)} FLOP, at least {fmt.time(arithmetic)}"
            told += f"; it reaches {fmt.percent(arithmetic / time_us)} of the measured rate"
            yield Fact(name="arithmetic_us", value=arithmetic, text=told, by="judge", about=("compute", "latency"))
