"""How good an attempt is: what the search maximises."""

from __future__ import annotations

from collections.abc import Sequence

from kernelwright.judge.verdict import Verdict


def fitness(verdict: Verdict) -> float:
    """The speedup over the reference if the judge accepted the candidate, else 0."""
    return (verdict.speedup or 0.0) if verdict.accepted else 0.0


def rank(values: Sequence[float]) -> list[int]:
    """Where each value stands, 0 the highest; of equal ones the earlier stands higher."""
    ranks = [0] * len(values)
    for place, index in enumerate(sorted(range(len(values)), key=lambda index: (-values[index], index))):
        ranks[index] = place
    return ranks
