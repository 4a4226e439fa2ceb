"""A package that extends Kernelwright as any other may: a target and proposers for tests of the search, and a judge
whose verdict is a function of the candidate's text. The real judge has tests of its own."""

from __future__ import annotations

import ast
import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from kernelwright.errors import MachineError
from kernelwright.judge.verdict import Comparison, ComparisonRow, Verdict
from kernelwright.proposers.base import Candidate, Context, Proposer
from kernelwright.targets.base import Ceilings, Target, TargetInfo
from kernelwright.tasks import CaseInfo, Fairness, Graph, GraphNode, Task, TaskInfo, TaskSource, TensorInfo

FLOOR_US = 10.0
REFERENCE_US = 1000.0

INFO = TaskInfo(
    init_inputs=[],
    cases=(
        CaseInfo(
            name="default",
            role="tune",
            dtype=None,
            inputs=(),
            outputs=(),
            flops=0,
            read_bytes=40_000_000,
            written_bytes=40_000_000,
        ),
    ),
    state=(),
)
_TENSOR = (TensorInfo(shape=(4, 8), dtype="float32", strides=(8, 1)),)
GRAPH = Graph(
    case="default",
    nodes=(
        GraphNode(name="x", op="input", outputs=_TENSOR),
        GraphNode(name="y", op="call", target="aten.mul.Tensor", args=({"node": "x"}, 2.0), outputs=_TENSOR),
        GraphNode(name="z", op="call", target="aten.add.Tensor", args=({"node": "y"}, 1.0), outputs=_TENSOR),
        GraphNode(name="out", op="output", args=({"node": "z"},), outputs=_TENSOR),
    ),
)


def make_task(name: str = "Numbers", text: str = "reference") -> Task:
    return Task(name=name, source=TaskSource(kind="kernelbench", text=text, filename=f"{name}.py"))


class ScriptedTarget(Target):
    name = "scripted"
    default_language = "cpp"

    def info(self) -> TargetInfo:
        return TargetInfo(
            name="scripted", model="Scripted 1", cores=int(os.environ.get("KW_SCRIPTED_CORES", "2")), simd="avx2",
            vector_bytes=32, l1_bytes=1 << 15, l2_bytes=1 << 19, l3_bytes=1 << 25, memory_bytes=1 << 34,
            key=os.environ.get("KW_SCRIPTED_KEY", "scripted-1"),
        )  # fmt: skip

    def ceilings(self) -> Ceilings:
        return Ceilings(bandwidth=dict.fromkeys(("read", "write", "copy"), ((1 << 20, 1e10),)), flops={"float32": 1e12})

    def measure_again(self) -> None:
        pass

    def floor_meter(self, case: CaseInfo, calls: int) -> AbstractContextManager[Callable[[], float]]:
        return nullcontext(lambda: 1e-6 * FLOOR_US)

    def floor_us(self, case: CaseInfo) -> float:
        return FLOOR_US


def source(number: int) -> str:
    return f"SPEEDUP = {number}\n"


def speedup(text: str) -> float | None:
    """Of `SPEEDUP = n`: n (rejected when 0). Of parameters A and B: a hill with its top, 20, at A = 8 and B = 16."""
    match = re.search(r"^SPEEDUP = (-?[0-9.]+)", text, re.MULTILINE)
    if match:
        return float(match[1])
    values = ast.literal_eval(re.search(r"^PARAMS = (\{.*\})$", text, re.MULTILINE)[1])
    return 20.0 / (1 + abs(values["A"] - 8) + abs(values["B"] - 16) / 4)


class ScriptedJudge:
    """Notes every evaluation in the file KW_SCRIPTED_LOG, where that is set, before and after it."""

    delay = float(os.environ.get("KW_SCRIPTED_DELAY", "0"))

    def __init__(self, task: Task, target: Target, *, language: str = "cpp", seed: int | None = None) -> None:
        self.task, self.target, self.language = task, target, language
        self.info = INFO
        self.evaluated: list[str] = []
        self.compared: list[str] = []
        self.running = self.most_running = 0

    async def __aenter__(self) -> ScriptedJudge:
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.running == 0, "the search left while something was evaluated"

    async def graph(self, case: str, *, limit: float | None = None) -> Graph | None:
        assert case == "default"
        return GRAPH

    async def compiled(self) -> str | None:
        return None

    async def fairness(self) -> Fairness:
        return Fairness()

    async def evaluate(
        self, candidate: Candidate, *, best: Verdict | None = None, brief: bool = False, rank: float | None = None
    ) -> Verdict:
        self.evaluated.append(candidate.source)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            note("begin", candidate)
            await asyncio.sleep(self.delay)
            note("end", candidate)
        finally:
            self.running -= 1
        return self.verdict(candidate)

    def verdict(self, candidate: Candidate) -> Verdict:
        gain = speedup(candidate.source)
        facts: dict[str, Any] = {"candidate": candidate.id, "task": self.task.id, "target": self.target.info().key}
        if not gain or gain < 0:
            return Verdict(**facts, language="cpp", outcome="rejected", reason="wrong_values", message="not the same")
        return Verdict(
            **facts, language="cpp", outcome="accepted", speedup=gain, speedup_ci=(gain * 0.99, gain * 1.01),
            time_us=REFERENCE_US / gain, reference_us=REFERENCE_US, floor_us=FLOOR_US, traffic_us=FLOOR_US,
        )  # fmt: skip

    async def compare(self, candidates: Sequence[Candidate], *, limit: float | None = None) -> Comparison:
        for candidate in candidates[:1]:
            note("compare", candidate)
        self.compared = [candidate.source for candidate in candidates]
        share = FLOOR_US / REFERENCE_US
        rows = [
            ComparisonRow(name="eager", time_us=REFERENCE_US, speedup=1.0, speedup_ci=(1.0, 1.0), floor_share=share)
        ]
        for candidate in candidates:
            gain = self.final(candidate)
            rows.append(
                ComparisonRow(
                    name=candidate.id,
                    time_us=REFERENCE_US / gain,
                    speedup=gain,
                    speedup_ci=(gain - 0.1, gain + 0.1),
                    floor_share=gain * share,
                )
            )
        return Comparison(case="default", floor_us=FLOOR_US, rows=tuple(rows))

    def final(self, candidate: Candidate) -> float:
        return speedup(candidate.source) or 1.0


def note(what: str, candidate: Candidate) -> None:
    if log := os.environ.get("KW_SCRIPTED_LOG"):
        with Path(log).open("a") as file:
            file.write(f"{what} {candidate.source.splitlines()[0]}\n")


class Numbers(Proposer):
    """From the task alone: six candidates, one of them wrong."""

    name = "numbers"

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        for number in (2, 3, 0, 5, 4, 1):
            yield Candidate(source=source(number), language="cpp", proposer=self.name, note=f"number {number}")


class Offspring(Proposer):
    """Two children of the first parent, a little better or worse."""

    name = "offspring"
    needs_parents = True

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        parent = context.parents[0]
        for _ in range(2):
            await asyncio.sleep(0)
            gain = (parent.verdict.speedup or 0) + context.random.uniform(-1, 1)
            text = f"SPEEDUP = {gain:.6f}\n"
            yield Candidate(source=text, language="cpp", proposer=self.name, parents=(parent.candidate.id,))


class Endless(Proposer):
    """Never runs out: 2.00, 2.01, …."""

    name = "endless"

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        for step in range(200, 1_000_000):
            yield Candidate(source=f"SPEEDUP = {step / 100}\n", language="cpp", proposer=self.name)


class Tunable(Proposer):
    """One candidate with parameters."""

    name = "tunable"

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        yield Candidate(source=TUNABLE, language="cpp", proposer=self.name)


class Broken(Proposer):
    """Lacks something on this machine."""

    name = "broken"

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        raise MachineError("there is no frobnicator", remedy="install one")
        yield


TUNABLE = """\
PARAMS = {"A": 1, "B": 64}
SPACE = {"A": [1, 2, 4, 8, 16], "B": [1, 2, 4, 8, 16, 32, 64]}
CONSTRAINTS = ["A * B <= 512"]
"""
