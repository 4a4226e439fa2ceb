"""Attempts as a search would have them, for tests."""

from __future__ import annotations

from typing import Any

from kernelwright.judge.verdict import CaseTiming, Verdict
from kernelwright.proposers.base import Attempt, Candidate

SOURCE = """import torch
from torch import nn

CPP = r'''
void add(float* x) {
  x[0] = y;
}
'''


class ModelNew(nn.Module):
    def forward(self, x):
        return x + 1
"""


def accepted(speedup: float, name: str = "a", **candidate: Any) -> Attempt:
    """An accepted attempt whose source names it."""
    made = _candidate(name, **candidate)
    timing = CaseTiming(
        case="default", time_us=100 / speedup, reference_us=100.0, floor_us=5.0, speedup=speedup,
        speedup_ci=(0.9 * speedup, 1.1 * speedup), pairs=6, calls=1,
    )  # fmt: skip
    return Attempt(
        made,
        _verdict(made, outcome="accepted", speedup=speedup, speedup_ci=timing.speedup_ci, timings=(timing,))
        .model_copy(update={"time_us": timing.time_us, "reference_us": 100.0, "floor_us": 5.0}),
    )  # fmt: skip


def rejected(
    reason: str, name: str = "r", message: str = "no", evidence: dict[str, Any] | None = None, **candidate: Any
) -> Attempt:
    """A rejected attempt."""
    made = _candidate(name, **candidate)
    return Attempt(made, _verdict(made, outcome="rejected", reason=reason, message=message, evidence=evidence or {}))


def _candidate(name: str, **more: Any) -> Candidate:
    return Candidate(source=f"{SOURCE}# {name}\n", language="cpp", **{"proposer": "operator", "note": name, **more})


def _verdict(candidate: Candidate, **more: Any) -> Verdict:
    return Verdict(candidate=candidate.id, task="t", target="c", language="cpp", **more)
