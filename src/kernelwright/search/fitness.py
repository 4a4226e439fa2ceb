"""How good an attempt is: what the search maximises."""

from __future__ import annotations

from kernelwright.judge.verdict import Verdict


def fitness(verdict: Verdict) -> float:
    """The speedup over the reference if the judge accepted the candidate, else 0."""
    return (verdict.speedup or 0.0) if verdict.accepted else 0.0
