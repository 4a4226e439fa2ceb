"""Attempts as a search would have them, and what a proposer would know, for tests."""

from __future__ import annotations

import random
from typing import Any

from kw_scripted import GRAPH, INFO, ScriptedTarget

from kernelwright.judge.verdict import CaseTiming, Verdict
from kernelwright.proposers.base import Attempt, Candidate, Context, History
from kernelwright.tasks import Argument, CaseInfo, StateInfo, TensorInfo

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


ROWS = TensorInfo(shape=(64, 32), dtype="float32", strides=(32, 1))


async def nothing() -> str | None:
    return None


def context(**changes: Any) -> Context:
    target = ScriptedTarget()
    case = CaseInfo(
        name="wide", role="tune", dtype=None, inputs=(Argument(tensor=ROWS), Argument(value=3)), outputs=(ROWS,),
        flops=0, read_bytes=8192, written_bytes=8192,
    )  # fmt: skip
    info = INFO.model_copy(
        update={"cases": (case,), "state": (StateInfo(name="scale", kind="buffer", tensor=ROWS, mutated=True),)}
    )
    values: dict[str, Any] = {
        "task_id": "t", "reference": "class Model: ...", "info": info, "graph": GRAPH, "target": target.info(),
        "ceilings": target.ceilings(), "language": "cpp", "compiled": nothing, "random": random.Random(0),
        "guide": "# The guide",
    }  # fmt: skip
    changes["history"] = History(changes.get("history", ()))
    return Context(**{**values, **changes})


def accepted(speedup: float, name: str = "a", **candidate: Any) -> Attempt:
    """An accepted attempt whose source names it."""
    made = _candidate(name, **candidate)
    timing = CaseTiming(
        case="wide", time_us=100 / speedup, reference_us=100.0, floor_us=5.0, speedup=speedup,
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
