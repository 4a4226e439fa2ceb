"""Paired times of a candidate and the reference: what they say of the speedup, and whether they are enough."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

MIN_PAIRS, MAX_PAIRS = 6, 121
LIVES = 0.01
"""What a process's own luck (where its memory lies) is worth, relative: pairs share it, so that they do not show it."""
NARROW, WIDE = 0.02 + 2 * LIVES, 0.03 + 2 * LIVES
"""Enough pairs are measured when the 95 % interval is no wider than this share of the median: usually, so that 1.05
times the work is told from once, and where a glance will do."""
UNSTABLE = 10.0
"""An interval whose ends are further apart than this factor says nothing; a narrower one says what it is worth."""
LONGEST = 20.0
"""Seconds for pairs that leave such an interval, and twice `MIN_PAIRS` of them at least: the machine may be busy."""
WAITED = 0.25
"""Where the reference's threads waited for cores for longer than this share of its time, the machine is busy."""


@dataclass(frozen=True)
class Interval:
    """A median with its 95 % confidence interval."""

    median: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Relative to the median."""
        return (self.high - self.low) / self.median

    @property
    def vague(self) -> bool:
        """Whether it says nothing."""
        return self.high > UNSTABLE * self.low


def interval(values: Sequence[float]) -> Interval:
    """The median of at least one value, with the narrowest symmetric pair of order statistics that holds it with 95
    % (free of assumptions on the distribution: the binomial)."""
    ordered, count = sorted(values), len(values)
    tail, drop = 0.0, 0
    for successes in range(count // 2):
        tail += math.comb(count, successes) / 2**count
        if 2 * tail > 0.05:
            break
        drop = successes
    return Interval(statistics.median(ordered), ordered[drop], ordered[count - 1 - drop])


def speedup(theirs: Sequence[float], own: Sequence[float]) -> Interval:
    """The median of paired ratios; the interval allows for `LIVES` on either side."""
    ratio = interval([other / one for other, one in zip(theirs, own, strict=True)])
    return Interval(ratio.median, ratio.low * (1 - LIVES), ratio.high * (1 + LIVES))


@dataclass
class Pairs:
    """Seconds a call of a candidate (`own`) and of the reference beside it (`theirs`), until the interval is no wider
    than `width`, or for `seconds` from now, or longer where that says nothing. `waited` is how long the reference's
    threads have waited for cores in its batches, in seconds, and `took` how long these took: a candidate has no part in
    either."""

    seconds: float
    width: float = NARROW
    own: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    waited: float = 0.0
    took: float = 0.0
    start: float = field(default_factory=time.monotonic)

    def __len__(self) -> int:
        return len(self.own)

    def add(self, own: float, theirs: float) -> None:
        """One more pair."""
        self.own.append(own)
        self.theirs.append(theirs)

    @property
    def speedup(self) -> Interval:
        """Of the candidate over the reference."""
        return speedup(self.theirs, self.own)

    @property
    def usual(self) -> float | None:
        """What a call of the candidate takes as a rule; None before anything was timed."""
        return statistics.median(self.own) if self.own else None

    @property
    def unstable(self) -> bool:
        """Whether they say nothing and the candidate is to blame: where only the reference's times are as far apart, or
        it had to wait for its cores, it is the machine's doing."""
        return self.speedup.vague and interval(self.own).vague and self.waited <= WAITED * self.took

    @property
    def enough(self) -> bool:
        """Whether more pairs would not say more, or not soon."""
        if len(self) < MIN_PAIRS:
            return False
        if len(self) >= MAX_PAIRS or self.speedup.width < self.width:
            return True
        spent = time.monotonic() - self.start
        if self.speedup.vague:
            return spent > max(self.seconds, LONGEST) and len(self) >= 2 * MIN_PAIRS
        return spent > self.seconds
