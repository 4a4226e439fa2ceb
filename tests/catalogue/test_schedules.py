"""Rewrites as data: any legal sequence of them keeps what a kernel means."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from functools import cache
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from catalogue_harness import TARGET, Lambda, Made, check, describe, load_all, written
from catalogue_interpreter import Memory, arranged, plainly
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from kernelwright.proposers import params
from kernelwright.proposers.agent.tools import apply
from kernelwright.proposers.agent.workspace import Workspace
from kernelwright.proposers.base import Context
from kernelwright.proposers.catalogue.cpp.priors import PLAIN, TENSORISED, WINOGRAD, Machine, default
from kernelwright.proposers.catalogue.cpp.renderer import Cpp
from kernelwright.proposers.catalogue.program import Program, plan
from kernelwright.proposers.catalogue.rewrites import (
    NAMES,
    IllegalRewriteError,
    from_json,
    parse,
    spoken,
    to_json,
)
from kernelwright.proposers.catalogue.rules import missing
from kernelwright.proposers.catalogue.schedule import Schedule
from kernelwright.proposers.llm import templates
from kernelwright.proposers.llm.call import ToolCall
from kernelwright.targets.base import Ceilings
from kernelwright.tasks import Graph, TaskInfo

MODULES: dict[str, tuple[Any, tuple[torch.Tensor, ...]]] = {
    "elementwise": (lambda x, y: torch.tanh(x) * y + x, (torch.randn(3, 4, 5), torch.randn(4, 1))),
    "transposed": (lambda x, y: x.T + torch.exp(y), (torch.randn(6, 9), torch.randn(9, 6))),
    "sum": (lambda x: (x * x).sum(-1), (torch.randn(3, 4, 11),)),
    "sum of all": (lambda x: (x - 1).abs().mean() + x.max(), (torch.randn(3, 4, 7),)),
    "columns": (lambda x: x.sum(0) / x.amax(0), (torch.rand(9, 11) + 1,)),
    "middle": (lambda x: x - x.mean(1, keepdim=True), (torch.randn(3, 7, 10),)),
    "softmax": (lambda x: torch.softmax(x, -1), (torch.randn(5, 13),)),
    "softmax of columns": (lambda x: torch.softmax(x, 0), (torch.randn(5, 13),)),
    "log of sums": (lambda x: torch.logsumexp(x, (1, 2)), (torch.randn(3, 4, 6),)),
    "layer norm": (nn.LayerNorm(14), (torch.randn(6, 14),)),
    "norm of rows and all": (lambda x: x / x.norm(dim=-1, keepdim=True) + x.sum(), (torch.randn(4, 10),)),
    "batch norm": (nn.BatchNorm2d(3), (torch.randn(4, 3, 2, 5),)),
    "positions": (lambda x: (x.argmax(-1), x.amin(-1)), (torch.randn(4, 13),)),
    "position of all": (lambda x: x.argmin(), (torch.randn(4, 7),)),
    "loss": (lambda x, y: F.kl_div(x.log_softmax(-1), y, reduction="batchmean"), (torch.randn(4, 9), torch.rand(4, 9))),
    "running": (lambda x: x.cumsum(-1), (torch.randn(3, 4, 9),)),
    "running columns": (lambda x: x.cumsum(0) * x.cumprod(0), (torch.randn(7, 10),)),
    "window": (lambda x: F.max_pool2d(x, 3, 2, 1) * 2, (torch.randn(2, 3, 9, 8),)),
    "padded": (lambda x: F.pad(x, (1, 2)).exp(), (torch.randn(4, 9),)),
    "mirrored": (lambda x, w: F.pad(x, (2, 3), mode="reflect") * w.exp(), (torch.randn(2, 5, 9), torch.randn(14))),
    "resized": (lambda x: F.interpolate(x, scale_factor=(2, 1.5), mode="bilinear"), (torch.randn(1, 2, 4, 6),)),
    "product": (lambda x, y: torch.relu(x @ y), (torch.randn(12, 40), torch.randn(40, 40))),
    "product along steps": (lambda x, y: x @ y.T + 1, (torch.randn(12, 40), torch.randn(40, 40))),
    "product of windows": (F.conv2d, (torch.randn(1, 4, 10, 11), torch.randn(8, 4, 3, 3))),
}  # fmt: skip

DECISIONS = (
    "split_reduce", "online_reduce(variance)", "online_reduce(exponentials)", "stage(values)", "stage(columns)",
    "stage(right)", "split_reduce(step)", "pipeline", PLAIN, WINOGRAD, TENSORISED,
)  # fmt: skip


@cache
def described(name: str) -> tuple[TaskInfo, Graph]:
    module, inputs = MODULES[name]
    return describe(module if isinstance(module, nn.Module) else Lambda(module), inputs)


@cache
def program(name: str) -> Program:
    return plan(described(name)[1], TARGET, Cpp())


@cache
def known(name: str) -> list[tuple[Schedule, Memory, Memory]]:
    """Each kernel with values for what it reads, and what it must leave."""
    found = []
    for schedule in program(name).schedules:
        chance = np.random.default_rng(1)
        memory = {buffer.name: chance.uniform(0.1, 2, max(1, buffer.size)) for buffer in schedule.nest().reads}
        found.append((Schedule.of(schedule.region), memory, plainly(schedule.region.stores, memory)))
    return found


def finished(schedule: Schedule) -> Schedule:
    """With the least that is missing before it can be written."""
    while form := missing(schedule.loops):
        choices = [each for each in schedule.choices() if (each.name, each.on) == (form.name, form.on)]
        schedule = schedule.then(choices[0])
    return schedule


def agree(schedule: Schedule, memory: Memory, expected: Memory, seed: int) -> None:
    left = arranged(schedule.nest(), memory, random.Random(seed))
    assert left.keys() == expected.keys()
    for name, values in left.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-9, atol=1e-9, err_msg=spoken(schedule.rewrites))


def drawn(data: st.DataObject, schedule: Schedule) -> Schedule:
    """A sequence of legal rewrites, as long as chance wants it."""
    while data.draw(st.integers(0, 9), label="go on") and (choices := schedule.choices()):
        names = sorted({rewrite.name for rewrite in choices})
        name = data.draw(st.sampled_from(names), label="rewrite")
        schedule = schedule.then(data.draw(st.sampled_from([each for each in choices if each.name == name])))
    return finished(schedule)


@pytest.mark.parametrize("name", MODULES)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_legal_sequence_keeps_the_meaning(name: str, data: st.DataObject) -> None:
    for start, memory, expected in known(name):
        schedule = drawn(data, start)
        again = Schedule.of(start.region).then(*from_json(to_json(schedule.rewrites)))
        assert parse(spoken(schedule.rewrites)) == again.rewrites == schedule.rewrites
        agree(schedule, memory, expected, data.draw(st.integers(0, 99)))


@pytest.mark.parametrize("name", MODULES)
def test_first_guesses_keep_the_meaning(name: str) -> None:
    for schedule, (_, memory, expected) in zip(program(name).schedules, known(name), strict=True):
        agree(schedule, memory, expected, 0)


@pytest.mark.parametrize("name", MODULES)
def test_guesses_with_one_decision_turned_keep_the_meaning(name: str) -> None:
    first = program(name)
    machine = Machine.of(first.target, first.traffic, [guess.region for guess in first.schedules])
    for guess, (_, memory, expected) in zip(first.schedules, known(name), strict=True):
        plain = [str(each) for each in Schedule.of(guess.region).choices() if each.name == "interchange"]
        # Most decisions do not come up in a kernel, and change nothing.
        others = {(made := default(guess.region, machine, turned)).rewrites: made for turned in (*DECISIONS, *plain)}
        for rewrites, other in others.items():
            if rewrites != guess.rewrites:
                agree(other, memory, expected, 0)


def test_every_rewrite_is_legal_somewhere() -> None:
    made = set[str]()
    for name in MODULES:
        for start, _, _ in known(name):
            chance, schedule = random.Random(3), start
            for _ in range(12):
                choices = schedule.choices()
                made |= {rewrite.name for rewrite in choices}
                schedule = schedule.then(chance.choice(choices)) if choices else schedule
    assert made == set(NAMES)


def chosen(start: Program, chance: random.Random) -> Program:
    """All kernels with loops arranged by chance."""
    rewrites = {}
    for schedule in start.schedules:
        now = Schedule.of(schedule.region)
        for _ in range(chance.randrange(4, 12)):
            choices = now.choices()
            names = sorted({rewrite.name for rewrite in choices})
            if names:
                name = chance.choice(names)
                now = now.then(chance.choice([each for each in choices if each.name == name]))
        rewrites[schedule.name] = finished(now).rewrites
    return start.rescheduled(rewrites)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [(0, 1), (2, 3)], ids=str)
def test_built_sequences_keep_the_meaning(seeds: tuple[int, ...]) -> None:
    """Sequences drawn by chance, in C++: one build holds many, which share the numbers of their rewrites."""
    made: list[Made] = []
    for name, (module, inputs) in MODULES.items():
        model = module if isinstance(module, nn.Module) else Lambda(module)
        programs = [chosen(program(name), random.Random(f"{name} {seed}")) for seed in seeds]
        made += [written(model, inputs, described(name)[0], each) for each in programs]
    wrong = {}
    for one, candidate in zip(made, load_all(made), strict=True):
        try:
            check(one.model, candidate, one.inputs)
        except (AssertionError, ValueError, RuntimeError) as error:
            wrong["; ".join(spoken(each.rewrites) for each in one.program.schedules)] = str(error)
    assert not wrong


@pytest.mark.slow
def test_a_maximum_found_on_the_way_meets_infinities_and_nan_as_torch_does() -> None:
    rewrites = parse("online_reduce(exponentials); vectorise(j); unroll(j, 2); parallelise(i0)")
    online = program("softmax").rescheduled({"kernel_0": rewrites})
    (candidate,) = load_all([written(nn.Softmax(-1), (), described("softmax")[0], online)])
    x = torch.randn(9, 133) * 30
    x[1, 5], x[2, :77], x[3], x[4, 100], x[5, 3:5] = -torch.inf, -torch.inf, -torch.inf, torch.inf, torch.nan
    x[6], x[7, 130] = 1e4, 3e38
    check(nn.Softmax(-1), candidate, (x,))
    check(nn.Softmax(-1), candidate, (torch.randn(3, 5001) * 30,))


@pytest.mark.slow
def test_rows_in_turn_are_as_many_as_there_are() -> None:
    def loss(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        shares = x.softmax(-1)
        return shares, x.logsumexp(-1), x.argmax(-1)

    def rows(count: int) -> tuple[torch.Tensor, ...]:
        return (torch.randn(count, 133),)

    def planes(count: int) -> tuple[torch.Tensor, ...]:
        return torch.randn(3, count, 133), torch.randn(count, 133)

    models = [
        (nn.Softmax(-1), rows),
        (nn.LayerNorm(133), rows),
        (Lambda(lambda x: x / x.norm(dim=-1, keepdim=True)), rows),
        (Lambda(loss), rows),
        (Lambda(lambda x: x.logsumexp(-1).sum()), rows),
        (Lambda(lambda x, y: (x + y).softmax(-1)), planes),
        (nn.GroupNorm(2, 6), lambda count: (torch.randn(count, 6, 20),)),
    ]
    made = []
    for model, inputs in models:
        info, graph = describe(model, inputs(9))
        first = plan(graph, TARGET, Cpp())
        before = [each for each in first.schedules[0].rewrites if each.name not in ("pipeline", "parallelise", "stage")]
        schedule = Schedule.of(first.schedules[0].region).then(*before)
        for more in parse("pipeline(i0); pipeline(i1); stage(values); stage(next_row, 1); stage(stores, 1)"):
            schedule = schedule.then_if_legal(more)
        schedule = schedule.then_if_legal(parse("parallelise(i0)")[0])
        made.append(written(model, (), info, first.rescheduled({schedule.name: schedule.rewrites})))
        assert "{  // pipeline(i" in made[-1].source, spoken(schedule.rewrites)
    for one, candidate, (_, inputs) in zip(made, load_all(made), models, strict=True):
        for count in (0, 1, 7, 9, 1000):
            check(one.model, candidate, inputs(count))


def test_code_says_which_rewrite_made_which_loop() -> None:
    rows = parse("vectorise(j); unroll(j, 2); parallelise(i0, dynamic); stage(stores, 1)")
    info, _ = described("softmax")
    source = written(nn.Softmax(-1), (), info, program("softmax").rescheduled({"kernel_0": rows})).source
    assert "// vectorise(j); unroll(j, UNROLL); parallelise(i0, PARALLELISE); stage(stores, STAGE_STORES)" in source
    assert "INLINE {  // vectorise(j), unroll(j)" in source
    assert "schedule(PARALLELISE) nowait  // parallelise(i0)" in source
    declared = params.read(source)
    assert declared is not None
    assert declared.values["UNROLL"] == 2
    assert declared.values["PARALLELISE"] == "dynamic"


def test_kernels_share_a_number_that_begins_the_same() -> None:
    """`UNROLL` is that of both kernels, unless one has another."""
    module = lambda x: (x.softmax(-1), x.sum(-1).softmax(0))  # noqa: E731
    info, graph = describe(Lambda(module), (torch.randn(4, 80),))
    both = plan(graph, TARGET, Cpp())
    assert len(both.nests) > 1
    source = written(Lambda(module), (), info, both).source
    assert source.count('"UNROLL') + source.count("'UNROLL") == 2
    first, second = (schedule.rewrites for schedule in both.schedules[:2])
    eight = tuple(each.model_copy(update={"argument": 8}) if each.name == "unroll" else each for each in second)
    apart = written(Lambda(module), (), info, both.rescheduled({both.schedules[1].name: eight})).source
    values = params.values(apart)
    assert values is not None
    assert (values["UNROLL"], values["UNROLL_1"]) == (4, 8)
    assert any(each.name == "unroll" for each in first)


@pytest.mark.parametrize(
    ("region", "text", "why"),
    [
        ("softmax", "fuse(i0, j)", "not both keep or combine"),
        ("softmax", "split(j, 64)", "loops that combine are inside; tile"),
        ("softmax", "vectorise(i0)", "only the innermost loop can be; interchange it with j first"),
        ("softmax", "unroll(j, 2)", "only a vectorised loop"),
        ("softmax", "vectorise(j); unroll(j)", "number is missing or out of range; from 1 to 8"),
        ("softmax", "vectorise(j, 16)", "it takes no number; write vectorise"),
        ("softmax", "parallelise(j, static)", "cannot be shared out; outermost first: i0"),
        ("softmax", "vectorise(j); interchange(i0, j)", "it comes before vectorise"),
        ("softmax", "pipeline(j)", "only the loop that goes from row to row"),
        ("positions", "vectorise(j); pipeline(i0)", "a row has one sweep"),
        ("softmax", "vectorise(j); stage(next_row, 1); pipeline(i0)", "it comes before stage"),
        ("softmax", "stage(everything)", "one of values, columns, stores, next_row, reads"),
        ("softmax", "split_reduce(j)", "would not be the outermost loop"),
        ("softmax", "vectorise(i7)", "these are i0, j"),
        ("elementwise", "online_reduce(variance)", "no mean with a variance"),
        ("elementwise", "split(j, 100)", "a multiple of 64"),
        ("elementwise", "parallelise(i0, static)", "the loops are not finished; add vectorise"),
        ("running columns", "interchange(i0, j); tile(j, 64)", "a tile is of a loop that keeps"),
        ("product", "tile(row, 8); vectorise(j)", "a product's loops are tiled"),
        ("product of windows", "stage(values)", "a product's loops are tiled"),
        ("product along steps", "stage(right)", "it is packed anyway"),
        ("product", "tile(row, 8)", "add tile.column, …"),
        ("product", "winograd(windows, 64)", "no windows of 3 x 3"),
        ("softmax", "tensorise(tile)", "it is about a product"),
        ("product of windows", "stage(right); winograd(windows, 64)", "it comes before split, stage"),
        ("product of windows", "winograd(windows, 64); split(step, 128)", "2 x 2 at a time; tile"),
        ("product of windows", "winograd(windows, 64)", "add tile.row, …"),
        ("product", "split_reduce(step); tensorise(tile)", "make one of the two"),
        ("softmax", "paint(j)", "no such rewrite; there are fuse"),
        ("softmax", "split j", "not a rewrite"),
        ("softmax", "split(4)", "it names no loop"),
    ],
)
def test_what_may_not_be_made_says_why(region: str, text: str, why: str) -> None:
    with pytest.raises(IllegalRewriteError, match=why):
        program(region).rescheduled({"kernel_0": parse(text)}).nests  # noqa: B018


def test_loops_are_shared_out_evenly_unless_it_says_otherwise() -> None:
    assert parse("parallelise(i0)\n parallelise(i0, dynamic)") == parse(
        "parallelise(i0, static); parallelise(i0,dynamic)"
    )
    with pytest.raises(IllegalRewriteError, match="end with one of static, dynamic"):
        program("softmax").rescheduled({"kernel_0": from_json('[{"name": "parallelise", "on": ["i0"]}]')})


def test_an_unknown_kernel_is_named() -> None:
    with pytest.raises(IllegalRewriteError, match="kernel_9: no such kernel; there are kernel_0"):
        program("softmax").rescheduled({"kernel_9": ()})


@given(st.text("abcefjlopstuv_(); ,0123456789\n", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        rewrites = parse(text)
    except IllegalRewriteError:
        return
    assert parse(spoken(rewrites)) == rewrites


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"name": "paint", "on": ["j"]}]', '[{"name": "split"}]'])
def test_what_is_no_list_of_rewrites_is_refused(text: str) -> None:
    with pytest.raises(IllegalRewriteError, match="no list of rewrites"):
        from_json(text)


def test_an_agent_arranges_loops_by_name() -> None:
    info, graph = described("softmax")
    context = Context(
        task_id="t", reference="", info=info, graph=graph, target=TARGET, ceilings=Ceilings(bandwidth={}, flops={}),
        language="cpp", compiled=mock.AsyncMock(return_value=None),
    )  # fmt: skip
    workspace = Workspace(context, None, templates.shipped())

    def said(text: str) -> str:
        result = apply(ToolCall("1", "schedule", json.dumps({"schedules": text})), workspace)
        assert isinstance(result, str)
        return result

    listed = said("")
    assert "kernel_0: " in listed
    assert "online_reduce(exponentials)" in listed
    assert workspace.source == ""
    assert "kernel_0: vectorise(i0): only the innermost loop can be" in said("kernel_0: vectorise(i0)")
    assert "is no schedule" in said("vectorise(j)")
    assert "online_reduce(exponentials); vectorise(j)" in said("kernel_0: online_reduce(exponentials); vectorise(j)")
    assert "Exponentials<1>" in workspace.source
    without = Workspace(replace(context, graph=None), None, templates.shipped())
    assert "no kernels for this task" in str(apply(ToolCall("1", "schedule", '{"schedules": ""}'), without))
