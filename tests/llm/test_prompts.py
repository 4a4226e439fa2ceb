from __future__ import annotations

import random
from typing import Any

from kw_scripted import GRAPH, INFO, ScriptedTarget
from llm_attempts import accepted, rejected

from kernelwright.proposers.base import Context
from kernelwright.proposers.llm import prompts
from kernelwright.proposers.llm.memory import Memory
from kernelwright.tasks import Argument, CaseInfo, GraphNode, StateInfo, TensorInfo

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
    return Context(**{**values, **changes})


def test_a_step_from_the_task_alone_says_all_that_is_known_of_it() -> None:
    prompt = prompts.operator(context(), Memory("clean_slate"))
    (text,) = prompt.turns
    for part in (
        "class Model: ...",
        "`wide` (timed)",
        "float32[64, 32], 3",
        "`scale` float32[64, 32], which forward changes",
    ):
        assert part in text
    assert "Scripted 1: 2 cores, avx2" in text
    assert "Nothing yet." in text
    assert "The version to start from" not in text
    assert "# The guide" in prompt.system
    assert "SEARCH" in prompt.system
    assert prompt.purpose == "operator"


def test_a_task_without_a_text_is_shown_as_its_graph() -> None:
    nodes = (
        GraphNode(name="x", op="input", outputs=(ROWS,)),
        GraphNode(name="w", op="state", target="scale"),
        GraphNode(name="m", op="call", target="aten.max.dim", args=({"node": "x"}, -1), kwargs={"keepdim": True}),
        GraphNode(name="v", op="call", target="getitem", args=({"node": "m"}, 0)),
        GraphNode(name="out", op="output", args=([{"node": "v"}],)),
    )
    graph = GRAPH.model_copy(update={"nodes": nodes})
    (text,) = prompts.operator(context(reference="", graph=graph), Memory("clean_slate")).turns
    for line in ("x = input()  # float32[64, 32]", "w = state scale()", "m = aten.max.dim(x, -1, keepdim=True)",
                 "v = getitem(m, 0)", "out = output([v])", "arguments are `[]`"):  # fmt: skip
        assert line in text


def test_held_out_cases_are_mentioned_and_nothing_else() -> None:
    shown = context()
    hiding = context(info=shown.info.model_copy(update={"hides": True}))
    assert "not shown" in prompts.operator(hiding, Memory("clean_slate")).turns[0]
    assert "not shown" not in prompts.operator(shown, Memory("clean_slate")).turns[0]


def test_a_parent_comes_whole_with_its_verdict_and_its_siblings_as_differences() -> None:
    parent, sibling = accepted(2.0, "p"), rejected("build_failed", "s", evidence={"line": 6})
    memory = Memory("siblings", parent, (sibling,))
    (text,) = prompts.operator(context(history=[parent, sibling], parents=[parent]), memory).turns
    assert parent.candidate.source.strip() in text
    assert sibling.candidate.source.strip() not in text
    assert "-# p\n+# s" in text
    assert "5.0 us (10% of the floor's speed)" in text
    assert ">    6 |   x[0] = y;" in text


def test_two_that_are_to_be_joined_come_whole() -> None:
    one, other = accepted(2.0, "p"), accepted(3.0, "q")
    (text,) = prompts.operator(context(history=[one, other]), Memory("combine", one, (other,))).turns
    assert one.candidate.source.strip() in text
    assert other.candidate.source.strip() in text


def test_a_long_history_takes_few_lines() -> None:
    history = [accepted(100 - number / 100, str(number)) for number in range(5000)]
    (text,) = prompts.operator(context(history=history), Memory("clean_slate")).turns
    assert "(4988 more)" in text
    assert len(text) < 6000


def test_what_templates_are_made_of_is_no_danger_in_what_fills_them() -> None:
    (text,) = prompts.operator(context(reference="{{ 7 * 7 }} {% raw %}"), Memory("clean_slate")).turns
    assert "{{ 7 * 7 }} {% raw %}" in text


def test_a_reply_that_cannot_be_used_goes_back_with_the_reason() -> None:
    first = prompts.operator(context(), Memory("clean_slate"))
    second = prompts.again(first, "I refuse", "there is no block")
    assert second.turns[:2] == (first.turns[0], "I refuse")
    assert "there is no block" in second.turns[2]
    assert second.template == first.template == prompts.version()
