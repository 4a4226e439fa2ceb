"""Schedules beside the first guess: which are offered at which size, and how the tuner goes through them."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
import torch
from catalogue_harness import TARGET, Lambda, describe
from torch import nn

from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Attempt, Candidate, Context, History
from kernelwright.proposers.catalogue import candidate
from kernelwright.proposers.catalogue.cpp.renderer import Cpp
from kernelwright.proposers.catalogue.program import plan
from kernelwright.proposers.tuner import Tuner
from kernelwright.targets.base import Ceilings
from kernelwright.tasks import Graph, TaskInfo

Time = Callable[[str], float | None]


def _sums(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x.sum(0), y.softmax(-1)


MODULES: dict[str, tuple[Any, tuple[torch.Tensor, ...]]] = {
    "few tiles": (lambda x, y: x @ y, (torch.randn(8, 50000), torch.randn(50000, 16))),
    "tall": (lambda x, y: x.T @ y, (torch.randn(9000, 64), torch.randn(9000, 80))),
    "some rows": (lambda x, y: x @ y, (torch.randn(24, 640), torch.randn(640, 512))),
    "few rows": (nn.Linear(512, 640), (torch.randn(7, 512),)),
    "next to no rows": (nn.Linear(512, 640), (torch.randn(3, 512),)),
    "many rows": (nn.Linear(64, 64), (torch.randn(4096, 64),)),
    "rows of a picture": (nn.Conv2d(16, 16, 3, padding=1), (torch.randn(1, 16, 30, 30),)),
    "rows of a larger picture": (nn.Conv2d(48, 64, 3, padding=1), (torch.randn(1, 48, 30, 30),)),
    "rows of a strided picture": (nn.Conv2d(16, 16, 3, padding=1, stride=2), (torch.randn(1, 16, 60, 60),)),
    "columns": (lambda x: x.sum(0), (torch.randn(512, 1024),)),
    "short rows": (lambda x: x.softmax(-1), (torch.randn(5000, 8),)),
    "long rows": (lambda x: x.softmax(-1), (torch.randn(8, 20000),)),
    "norm": (nn.LayerNorm(16384), (torch.randn(16, 16384),)),
    "elementwise": (torch.relu, (torch.randn(512, 1024),)),
    "two": (_sums, (torch.randn(512, 1024), torch.randn(40000, 8))),
}


@cache
def described(name: str) -> tuple[TaskInfo, Graph]:
    module, inputs = MODULES[name]
    return describe(module if isinstance(module, nn.Module) else Lambda(module), inputs)


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("few tiles", {"without split_reduce(step)", "with stage(right)"}),
        ("tall", {"with split_reduce(step)", "without stage(right)"}),
        ("few rows", {"with plain loops"}),
        ("next to no rows", set()),
        ("many rows", set()),
        ("rows of a picture", {"without winograd(windows)"}),
        ("rows of a larger picture", set()),
        ("rows of a strided picture", {"with stage(right)"}),
        ("columns", {"without split_reduce"}),
        ("short rows", {"with interchange(i0, j)", "without stage(values)"}),
        ("long rows", {"with online_reduce(exponentials)", "without stage(values)"}),
        ("norm", {"with online_reduce(variance)"}),
        ("elementwise", set()),
    ],
)
def test_what_may_be_faster_depends_on_the_size(name: str, offered: set[str]) -> None:
    assert {each.name for each in Cpp().alternatives(plan(described(name)[1], TARGET, Cpp()))} == offered


@pytest.mark.parametrize(
    ("name", "begins", "offered"),
    [
        ("many rows", True, {"without tensorise(tile)"}),
        ("some rows", False, {"with tensorise(tile)", "without stage(right)"}),
        ("few rows", False, {"with plain loops"}),
        ("few tiles", False, {"without split_reduce(step)", "with stage(right)"}),
        ("tall", True, {"without tensorise(tile)", "with split_reduce(step)"}),
        ("rows of a larger picture", False, {"without winograd(windows)"}),
    ],
)
def test_a_matrix_unit_multiplies_where_there_are_rows_enough(name: str, begins: bool, offered: set[str]) -> None:
    program = plan(described(name)[1], TARGET.model_copy(update={"matrix_unit": "amx"}), Cpp())
    made = any(each.name == "tensorise" for schedule in program.schedules for each in schedule.rewrites)
    assert made == begins
    assert {each.name for each in Cpp().alternatives(program)} == offered


def test_convolutions_of_different_channels_have_blocks_of_their_own() -> None:
    model = nn.Sequential(nn.Conv2d(64, 256, 3), nn.Conv2d(256, 64, 3))
    info, graph = describe(model, (torch.randn(4, 64, 40, 40),))
    source = candidate(plan(graph, TARGET.model_copy(update={"l2_bytes": 1 << 21}), Cpp()), info, note="").source
    assert len(set(re.findall(r"multiply_windows<(WINOGRAD_WINDOWS\w*)>", source))) == 2


def test_blocks_are_halved_for_tall_products_of_the_matrix_unit() -> None:
    def columns(name: str, unit: str) -> int:
        target = TARGET.model_copy(update={"l2_bytes": 1 << 21, "matrix_unit": unit})
        schedules = plan(described(name)[1], target, Cpp()).schedules
        (size,) = (each.argument for each in schedules[-1].rewrites if each.parameter == "SPLIT_COLUMN")
        return int(size or 0)

    assert (columns("many rows", ""), columns("many rows", "amx"), columns("some rows", "amx")) == (512, 256, 512)


class Tuning:
    """A run in which only the tuner proposes; `time` is what the judge measures of a source, None for a rejection."""

    def __init__(self, name: str, time: Time, history: Sequence[Attempt] = ()) -> None:
        self.info, self.graph = described(name)
        self.tuner, self.time = Tuner(), time
        first = candidate(plan(self.graph, TARGET, Cpp()), self.info, note="fused kernels")
        self.history = list(history) or [self.judged(first)]
        self.proposed: list[Candidate] = []

    def judged(self, made: Candidate) -> Attempt:
        time = self.time(made.source)
        facts: dict[str, Any] = {"candidate": made.id, "task": "t", "target": "k", "language": "cpp"}
        if time is None:
            return Attempt(made, Verdict(**facts, outcome="rejected", reason="wrong_values"))
        return Attempt(made, Verdict(**facts, outcome="accepted", time_us=time, speedup=1000 / time))

    def ask(self) -> Candidate | None:
        async def first() -> list[Candidate]:
            best = min(self.history, key=lambda attempt: attempt.verdict.time_us or 1e9)
            context = Context(
                task_id="t", reference="", info=self.info, graph=self.graph, target=TARGET,
                ceilings=Ceilings(bandwidth={}, flops={}), language="cpp", compiled=_nothing, parents=[best],
                history=History(self.history), random=random.Random(len(self.proposed)),
            )  # fmt: skip
            return [made async for made in self.tuner.propose(context)]

        candidates = asyncio.run(first())
        self.proposed += candidates
        return candidates[0] if candidates else None

    def run(self, limit: int = 60) -> list[Candidate]:
        while len(self.proposed) < limit and (made := self.ask()) is not None:
            self.history.append(self.judged(made))
        return self.proposed


async def _nothing() -> None:
    return None


def test_schedules_come_first_then_the_parameters_of_the_fastest() -> None:
    def time(source: str) -> float:
        return 50.0 if "multiply_in_shares<" in source else 100.0

    tuning = Tuning("tall", time)
    first, second, *others = tuning.run()
    assert [first.note, second.note] == ["kernel_0 with split_reduce(step)", "kernel_0 without stage(right)"]
    assert first.parents == second.parents == (tuning.history[0].id,)
    assert others
    assert all("multiply_in_shares<" in each.source and " → " in each.note for each in others)


def test_a_rejected_schedule_is_not_tuned() -> None:
    proposed = Tuning("few rows", lambda source: 9.0 if "multiply<" in source else None).run(5)
    assert "multiply<" not in proposed[0].source
    assert all("multiply<" in each.source for each in proposed[1:])


def test_the_fastest_schedules_of_several_kernels_are_tried_together() -> None:
    def time(source: str) -> float:
        columns, rows = "split_reduce" not in source, "interchange" in source
        return 100.0 - 20 * columns - 30 * rows

    proposed = [each for each in Tuning("two", time).run() if "kernel" in each.note]
    assert {time(each.source) for each in proposed} >= {80.0, 70.0, 50.0}
    assert len({each.id for each in proposed}) == len(proposed)
    assert time(proposed[-1].source) == 50.0 or len(proposed) <= 6


def test_a_resumed_run_tries_no_schedule_again() -> None:
    begun = Tuning("tall", lambda _: 100.0)
    begun.run(1)
    resumed = Tuning("tall", lambda _: 100.0, begun.history)
    notes = [each.note for each in resumed.run(3)]
    assert notes[0] == "kernel_0 without stage(right)"
    assert all(" → " in note for note in notes[1:])


def test_without_a_graph_there_are_parameters_alone() -> None:
    tuning = Tuning("tall", lambda _: 100.0)
    tuning.graph = None  # type: ignore[assignment]
    made = tuning.ask()
    assert made is not None
    assert " → " in made.note
