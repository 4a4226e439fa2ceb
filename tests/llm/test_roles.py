"""The four roles, played by a script for a scripted judge."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from kw_scripted import ScriptedJudge, ScriptedTarget, make_task
from llm_runs import QUICK, child, run, whole
from model_server import Fault, ModelServer, Request, Say

from kernelwright.errors import StoreError
from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Candidate
from kernelwright.proposers.llm import outage
from kernelwright.proposers.llm import role as roles
from kernelwright.proposers.llm.call import Prompt, Reply
from kernelwright.proposers.llm.config import Configuration, ModelConfig
from kernelwright.proposers.llm.limits import Limits
from kernelwright.proposers.llm.reply import ReplyProblem
from kernelwright.proposers.llm.role import Notes, Role
from kernelwright.search import SearchResult, Settings, search
from kernelwright.store import Store

SKETCH = """sketch add
input x: float32[64]
output y: float32[64]
for i in 0..64 step 8 @parallel:
    alloc b: float32[8] in register
    load b <- x[i:i+8]
    compute b from b: b + 1
    store b -> y[i:i+8]
"""
DESIGN = Say(f"Idea: tiles\n```\n{SKETCH}```\n")
FINDING = Say("**Bottleneck:** traffic\n**Method:** fuse\n**Plan:** one pass\nover x")
BEGINNINGS = {"You write": "coder", "You design": "designer", "You read": "judge_reader", "You lead": "conductor"}


def asked(request: Request) -> str:
    return next(name for words, name in BEGINNINGS.items() if request.system.startswith(words))


class Cast:
    """A script by role; the coder writes one faster than the last."""

    def __init__(self, **answers: Say | Fault | Callable[[Request], Say | Fault]) -> None:
        self.answers: Mapping[str, Say | Fault | Callable[[Request], Say | Fault]] = {
            "designer": DESIGN,
            "coder": lambda _: whole(self.played["coder"] + 1),
            "judge_reader": FINDING,
            "conductor": Say("Next: coder\nHint: mind the tail"),
            **answers,
        }
        self.played: Counter[str] = Counter()
        self.prompts: dict[str, list[Sequence[str]]] = {name: [] for name in self.answers}

    def __call__(self, request: Request) -> Say | Fault:
        name = asked(request)
        self.played[name] += 1
        self.prompts[name].append(request.turns)
        answer = self.answers[name]
        return answer(request) if callable(answer) else answer


def played(cast: Cast, store: Store, calls: int, **options: Any) -> SearchResult:
    with ModelServer(cast) as server:
        return run(store, server, calls=calls, **{"proposers": ("roles",), **options})


def test_the_designers_sketch_reaches_the_coder(store: Store) -> None:
    cast = Cast()
    result = played(cast, store, 8, policy="best_of_n")
    assert cast.played == {"designer": 4, "coder": 4}
    assert all("# The sketch" in turns[0] and "load b <- x[i:i+8]" in turns[0] for turns in cast.prompts["coder"])
    assert result.best.candidate.proposer == "roles"
    assert all(call.used for call in store.calls(result.run))
    assert Counter(call.prompt.purpose for call in store.calls(result.run)) == cast.played


def test_a_sketch_that_does_not_hold_goes_back_once_with_what_is_wrong(store: Store) -> None:
    wrong = Say(DESIGN.text.replace("x[i:i+8]", "x[i:i+4]"))
    cast = Cast(designer=lambda request: DESIGN if len(request.turns) > 1 else wrong)
    played(cast, store, 12, policy="best_of_n")
    asked_again = [turns for turns in cast.prompts["designer"] if len(turns) == 3]
    assert len(asked_again) == 4
    assert "line 6: x[...] has [4] here and b has [8]" in asked_again[0][2]


@pytest.mark.parametrize("calls", [1, 2, 3, 8, 9, 12])
def test_few_calls_are_spent_on_candidates_that_learn_from_those_before(store: Store, calls: int) -> None:
    cast = Cast()
    result = played(cast, store, calls, policy="greedy")
    assert sum(cast.played.values()) == calls
    assert result.evaluated == cast.played["coder"] >= max(1, calls // 4)
    assert all(call.used for call in store.calls(result.run))
    if calls >= 8:
        assert any(node.candidate.parents for node in result.graph)
    # Nobody speaks to whom nobody listens: every sketch, finding and decision was followed by somebody's turn.
    assert store.calls(result.run)[-1].prompt.purpose == "coder"


def test_the_conductor_knows_how_many_calls_are_left(store: Store) -> None:
    cast = Cast()
    played(cast, store, 8, policy="greedy")
    assert cast.prompts["conductor"]
    assert all("left after yours: the coder takes one" in turns[0] for turns in cast.prompts["conductor"])


def test_a_rejected_version_goes_to_whom_the_conductor_names(store: Store) -> None:
    def code(request: Request) -> Say:
        return whole(7, f"# {cast.played}") if "mind the tail" in request.turns[0] else whole(0, f"# {cast.played}")

    cast = Cast(coder=code)
    result = played(cast, store, 20, policy="greedy")
    assert result.best.verdict.speedup == 7
    (parent,) = result.best.candidate.parents
    assert result.graph[parent].verdict.reason == "wrong_values"
    assert "wrong_values" in cast.prompts["conductor"][0][0]


def test_an_accepted_version_is_read_before_the_conductor_sends_it_on(store: Store) -> None:
    cast = Cast(conductor=Say("Next: the designer.\nHint: larger tiles"))
    played(cast, store, 40, policy="greedy")
    assert cast.played["judge_reader"] >= cast.played["conductor"] > 0
    assert all("Plan: one pass\nover x" in turns[0] for turns in cast.prompts["conductor"])
    redesigned = [turns[0] for turns in cast.prompts["designer"] if "larger tiles" in turns[0]]
    assert redesigned
    assert "# The sketch that the version to start from was written from" in redesigned[0]


@pytest.mark.parametrize(
    ("who", "text", "problem"),
    [
        (roles.DESIGNER, "I would tile it.", "no block of code that begins with `sketch NAME`"),
        (roles.DESIGNER, "```\nsketch t\nfuse\n```", "line 2: no statement begins with `fuse`"),
        (roles.JUDGE_READER, "Bottleneck: a\nPlan: b", "no line `Method: ...`"),
        (roles.CONDUCTOR, "Next: coder or designer\nHint: c", "must name one of designer and coder"),
        (roles.CONDUCTOR, "Next: the boss\nHint: c", "must name one of designer and coder"),
        (roles.CONDUCTOR, "Next: coder", "no line `Hint: ...`"),
        (roles.CODER, "None.", "neither a block of code"),
        (roles.DESIGNER, "x" * 500_000, "500,000 characters"),
    ],
)
def test_a_reply_that_does_not_keep_to_its_form_is_refused_with_the_reason(who: Role, text: str, problem: str) -> None:
    with pytest.raises(ReplyProblem) as error:
        who.read(text, Notes(), "", ScriptedTarget().info())
    assert problem in str(error.value)


def test_floods_in_a_finding_are_cut_and_cost_no_time() -> None:
    text = f"{' *' * 10**6}\nBottleneck: {'x ' * 10**6}\nMethod: m\nPlan: p"
    notes = roles.JUDGE_READER.read(text, Notes(), "", ScriptedTarget().info())
    assert len(notes.finding) < 10_000


def test_a_sketch_that_was_paid_for_is_coded_when_the_run_goes_on(store: Store) -> None:
    """The process ends between the sketch's arrival and the coder's."""

    class Failing(ScriptedJudge):
        async def evaluate(self, candidate: Candidate, **how: Any) -> Verdict:
            raise StoreError("the disk is full")

    with pytest.raises(StoreError):
        played(Cast(), store, 1, proposers=("numbers",), judge_factory=Failing)
    interrupted = store.runs()[0].id
    log = store.call_log(interrupted)
    call = log.begin(Prompt("", ("design",), "designer"), "openai:scripted")
    log.arrived(Reply(call, "openai:scripted", DESIGN.text, 1, 1, 0.0, 0.1, "stop", None))
    cast = Cast(designer=Fault(status=400))
    result = played(cast, store, 2, resume=interrupted)
    assert cast.played == {"coder": 1}
    assert "load b <- x[i:i+8]" in cast.prompts["coder"][0][0]
    assert [node.candidate.proposer for node in result.graph].count("roles") == 1
    assert not store.call_log(interrupted).unused()


def test_calls_are_rewarded_for_what_the_judge_says_after_a_kill(tmp_path: Path) -> None:
    """kill -9 while candidates are with the judge: which calls they came of is known when the run goes on."""
    log = tmp_path / "log"
    with ModelServer(Cast()) as server:
        settings = Settings(
            target="scripted", proposers=("roles",), policy="best_of_n", seed=1, budget_s=100.0,
            models=Configuration(
                models=(ModelConfig(spec="openai:scripted", base_url=server.url),), limits=Limits(calls=8), call=QUICK
            ),
        )  # fmt: skip
        environment = {**os.environ, "KW_SCRIPTED_DELAY": "90", "KW_SCRIPTED_LOG": str(log)}
        searching = child(settings, env=environment)
        deadline = time.monotonic() + 60
        while (len(server.requests) < 8 or not log.exists()) and time.monotonic() < deadline:
            time.sleep(0.02)
        searching.kill()
        searching.wait()
        store = Store()
        run = store.runs()[0].id
        before = store.calls(run)
        assert len(before) == 8
        assert {call.gain for call in before} == {None}
        assert any(call.candidate for call in before)
        result = asyncio.run(search(make_task(), settings, store, judge_factory=ScriptedJudge, resume=run))
    assert len(server.requests) == 8
    made = [call for call in store.calls(run) if call.candidate]
    assert {call.candidate for call in made} == {node.id for node in result.graph}
    assert Counter(call.prompt.purpose for call in made)["coder"] == result.evaluated >= 1
    assert {call.prompt.purpose for call in made} == {"designer", "coder"}
    for call in made:
        assert call.gain == pytest.approx(math.log(max(1.0, result.graph[call.candidate].verdict.speedup)))
    store.close()


def test_a_sketch_whose_coder_did_not_answer_is_not_asked_for_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "PAUSE_S", 0.01)
    cast = Cast(coder=lambda _: Fault(status=500) if cast.played["coder"] <= 24 else whole(cast.played["coder"]))
    result = played(cast, store, 32)
    assert cast.played["designer"] == 4
    assert result.evaluated >= 3
