"""A run as the search would leave it, made up, with hostile text wherever a candidate or a task can put text."""

from __future__ import annotations

import random
from datetime import datetime, timezone
from typing import Any

from kernelwright.judge.verdict import CaseTiming, Comparison, ComparisonRow, ErrorReport, Proof, StageReport, Verdict
from kernelwright.proposers.base import Candidate
from kernelwright.proposers.llm.limits import Spent
from kernelwright.report.view import Node, RunView
from kernelwright.targets.base import Ceilings, TargetInfo
from kernelwright.tasks import Argument, CaseInfo, Fairness, Task, TaskInfo, TaskSource, TensorInfo

HOSTILE = "</script><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>"
SOURCE = '''import torch
from torch import nn

PARAMS = {"UNROLL": %d, "STREAM": 1}
CPP = r"""
float sum(const float* x, long n) {  // if (a < b && c > d)
  float total = 0;
  for (long i = 0; i < n; ++i) total += x[i];
  return total;
}
"""


class ModelNew(nn.Module):
    """%s"""

    def forward(self, x):
        return x
'''


def tensor(*shape: int) -> TensorInfo:
    return TensorInfo(shape=shape, dtype="float32", strides=tuple(1 for _ in shape))


def verdict(candidate: Candidate, speedup: float | None, reason: Any = None) -> Verdict:
    if speedup is None:
        return Verdict(
            candidate=candidate.id,
            task="t",
            target="cpu",
            language="cpp",
            outcome="rejected",
            reason=reason,
            message=f"element (0, 3) is off {HOSTILE}",
            evidence={"worst": HOSTILE},
        )
    reference = 33_000.0
    ci = (speedup * 0.98, speedup * 1.02)
    timing = CaseTiming(
        case="default",
        time_us=reference / speedup,
        reference_us=reference,
        floor_us=3900,
        speedup=speedup,
        speedup_ci=ci,
        pairs=20,
        calls=3,
    )
    return Verdict(
        candidate=candidate.id,
        task="t",
        target="cpu",
        language="cpp",
        outcome="accepted",
        speedup=speedup,
        speedup_ci=ci,
        time_us=reference / speedup,
        reference_us=reference,
        floor_us=3900,
        coverage=0.97,
        library_calls=("aten::empty",),
        error=ErrorReport(
            max=2.4e-7, mean=3e-8, reference_max=3.1e-7, reference_mean=4e-8, allowed_max=2e-6, allowed_mean=3e-7
        ),
        timings=(timing,),
        evidence={"kernel": HOSTILE, "threads": 4},
        proof=Proof(
            cases=("default", "odd"),
            distributions=("own", "scaled"),
            dtypes=("float32",),
            device="cpu",
            checked_outputs=44,
        ),
        stages=tuple(
            StageReport(name=name, status="passed", seconds=0.3)
            for name in ("build", "run", "compare", "audit", "time")
        ),
        sandbox="bubblewrap",
    )


def make_view(count: int = 60, *, flops: int = 0, comparison: bool = True) -> RunView:
    rng = random.Random(3)
    nodes: list[Node] = []
    speeds: dict[str, float] = {}
    for number in range(1, count + 1):
        parents = [node.candidate.id for node in nodes if node.verdict.accepted]
        base = rng.choice(parents[-8:]) if parents and number > 4 else None
        candidate = Candidate(
            source=SOURCE % (number, HOSTILE),
            language="cpp",
            proposer="tuner" if base else "catalogue",
            parents=(base,) if base else (),
            note=f"UNROLL = {number} {HOSTILE}",
        )
        speed = None if rng.random() < 0.15 else min(8.2, (speeds[base] if base else 2.0) * rng.uniform(0.75, 1.3))
        if speed:
            speeds[candidate.id] = speed
        nodes.append(Node(number, number * 0.8, candidate, verdict(candidate, speed, "wrong_values")))
    best = max(speeds, key=lambda name: speeds[name], default=None)
    rows = (
        ComparisonRow(
            name="eager", time_us=33000, speedup=1, speedup_ci=(1, 1), floor_share=0.12, speedup_over_compile=0.34
        ),
        ComparisonRow(
            name="torch.compile",
            time_us=11100,
            speedup=2.97,
            speedup_ci=(2.9, 3.02),
            floor_share=0.35,
            speedup_over_compile=1,
        ),
        ComparisonRow(
            name=best or "",
            time_us=4600,
            speedup=7.2,
            speedup_ci=(7.05, 7.33),
            floor_share=0.85,
            speedup_over_compile=2.4,
        ),
    )
    case = CaseInfo(
        name="default",
        role="tune",
        dtype="float32",
        inputs=(Argument(tensor=tensor(4096, 4096)),),
        outputs=(tensor(4096, 4096),),
        flops=flops,
        read_bytes=67_108_864,
        written_bytes=67_108_864,
    )
    return RunView(
        run="brisk-otter-3f2a",
        task=Task(name=f"rmsnorm {HOSTILE}", source=TaskSource(kind="kernelbench", text="", filename=f"{HOSTILE}.py")),
        info=TaskInfo(init_inputs=[], cases=(case,), state=()),
        floor_us=3900.0,
        target=TargetInfo(
            name="cpu",
            model="AMD EPYC 7B13",
            cores=4,
            simd="avx2",
            vector_bytes=32,
            l1_bytes=32768,
            l2_bytes=524288,
            l3_bytes=33554432,
            memory_bytes=33_000_000_000,
            key="k",
        ),
        ceilings=Ceilings(
            bandwidth=dict.fromkeys(
                ("read", "write", "copy"), ((1 << 20, 1.6e11), (1 << 23, 1.2e11), (1 << 27, 3.4e10), (1 << 29, 3.3e10))
            ),
            flops={"float32": 4.1e11},
        ),
        started=datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc),
        seconds=58.3,
        outcome="faster" if best else "no_kernel",
        settings={"policy": "evolve", "seed": 7, "budget": "60 s"},
        versions={"kernelwright": "0.1.0", "torch": "2.13.0", "python": "3.11"},
        nodes=nodes,
        best=best,
        comparison=Comparison(case="default", floor_us=3900, rows=rows) if comparison and best else None,
        fairness=Fairness(),
        spent=Spent(),
    )
