from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kw_scripted import GRAPH, INFO, ScriptedJudge, ScriptedTarget, source
from llm_runs import module, run, whole
from model_server import Fault, ModelServer, Request, Say
from rich.console import Console

from kernelwright.errors import StoreError
from kernelwright.judge.ranked_lock import RankedLock
from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Candidate, Context
from kernelwright.proposers.llm import outage
from kernelwright.proposers.llm.call import Answered, Answerer, BudgetSpent, Prompt, Reply
from kernelwright.proposers.llm.operator import Operator
from kernelwright.report import tables
from kernelwright.report.view import load
from kernelwright.search import events
from kernelwright.store import Store


def test_models_write_kernels_and_the_best_one_wins(store: Store) -> None:
    numbers = iter(range(2, 1000))
    with ModelServer(lambda _: whole(next(numbers))) as server:
        result = run(store, server, calls=12)
    assert result.outcome == "faster"
    assert result.best is not None
    assert result.best.verdict.speedup == 13
    assert result.best.candidate.proposer == "operator"
    assert result.best.candidate.note == "13 times"
    assert len(server.requests) == 12
    calls = store.calls(result.run)
    assert len(calls) == 12
    assert all(call.used for call in calls)
    assert sum(call.reply.input_tokens for call in calls if call.reply) == server.input_tokens


def test_what_was_rejected_is_mended_with_the_judges_words(store: Store) -> None:
    def answer(request: Request) -> Say:
        told = request.turns[-1].partition("# The version to start from")[2]
        return whole(7) if "wrong_values" in told else whole(0, f"# {len(server.requests)}")

    with ModelServer(answer) as server:
        result = run(store, server, calls=10)
    assert result.best is not None
    assert result.best.verdict.speedup == 7
    (parent,) = result.best.candidate.parents
    assert result.graph[parent].verdict.reason == "wrong_values"


def test_changes_apply_to_the_version_that_was_shown(store: Store) -> None:
    def answer(request: Request) -> Say:
        shown = re.search(r"# The version to start from.*?SPEEDUP = (\d+)", request.turns[0], re.DOTALL)
        if shown is None:
            return whole(2)
        old = int(shown[1])
        return Say(f"Idea: more\n<<<<<<< SEARCH\nSPEEDUP = {old}\n=======\nSPEEDUP = {old + 1}\n>>>>>>> REPLACE\n")

    with ModelServer(answer) as server:
        result = run(store, server, calls=30, policy="greedy")
    assert result.best is not None
    assert (result.best.verdict.speedup or 0) >= 5
    assert result.best.candidate.source == module(int(result.best.verdict.speedup or 0)).replace(".0", "")


def test_a_reply_that_cannot_be_used_is_asked_for_once_more(store: Store) -> None:
    def answer(request: Request) -> Say:
        return whole(len(server.requests) + 2) if "cannot be used" in request.turns[-1] else Say("I would rather not.")

    with ModelServer(answer) as server:
        result = run(store, server, calls=8)
    assert result.evaluated == 4
    assert all(call.used for call in store.calls(result.run))


def test_faults_cost_calls_and_not_the_run(store: Store) -> None:
    numbers = iter(range(2, 1000))

    def answer(_: Request) -> Say | Fault:
        number = next(numbers)
        return Fault(status=(429, 500, 503)[number % 3]) if number % 2 else whole(number)

    with ModelServer(answer) as server:
        result = run(store, server, calls=20)
    assert result.outcome == "faster"
    calls = store.calls(result.run)
    assert len(calls) == len(server.requests) == 20
    assert result.evaluated == sum(call.reply is not None for call in calls)


def test_models_that_only_fail_are_told_of_and_the_others_go_on(store: Store) -> None:
    heard: list[events.Event] = []
    with ModelServer(lambda _: Fault(status=401)) as server:
        result = run(store, server, proposers=("numbers", "operator"), listener=heard.append)
    assert result.outcome == "faster"
    (failed,) = [event for event in heard if isinstance(event, events.ProposerFailed)]
    assert failed.proposer == "operator"
    assert "auth" in failed.message


def test_a_search_that_ends_does_not_wait_for_its_models(store: Store) -> None:
    with ModelServer(lambda _: Say("late", after_s=60)) as server:
        ScriptedSlow = type("ScriptedSlow", (ScriptedJudge,), {"delay": 0.3})
        result = run(store, server, proposers=("endless", "operator"), evaluations=5, judge_factory=ScriptedSlow)
    assert result.evaluated == 5
    assert result.seconds < 50
    assert {call.failure for call in store.calls(result.run)} == {"cancelled"}


def test_the_prompt_knows_the_language_the_judge_and_the_device(store: Store) -> None:
    with ModelServer(lambda _: whole(2)) as server:
        run(store, server, calls=1)
    (request,) = server.requests
    assert "tvm_ffi" in request.system
    assert "What the judge accepts" in request.system
    assert "Scripted 1" in request.turns[0]


def test_a_reply_that_was_paid_for_is_used_when_the_run_goes_on(store: Store) -> None:
    """The process ends between a reply's arrival and its candidate."""

    class Failing(ScriptedJudge):
        async def evaluate(self, candidate: Candidate, **how: Any) -> Verdict:
            if candidate.source == source(5):
                raise StoreError("the disk is full")
            return await super().evaluate(candidate, **how)

    with ModelServer(lambda _: Fault(status=400)) as server:
        with pytest.raises(StoreError):
            run(store, server, proposers=("numbers",), judge_factory=Failing)
        interrupted = store.runs()[0].id
        first = next(node.candidate for node in store.nodes(interrupted) if node.candidate.source == source(2))
        log = store.call_log(interrupted)
        call = log.begin(Prompt("", ("faster",), "operator", base=(first.id,)), "openai:scripted")
        changes = "<<<<<<< SEARCH\nSPEEDUP = 2\n=======\nSPEEDUP = 9\nclass ModelNew: pass\n>>>>>>> REPLACE"
        log.arrived(Reply(call, "openai:scripted", f"Idea: nine\n{changes}", 1, 1, 0.0, 0.1, "stop", None))
        result = run(store, server, proposers=("operator",), resume=interrupted, calls=3)
    assert result.best is not None
    assert (result.best.verdict.speedup, result.best.candidate.parents) == (9, (first.id,))
    assert not store.call_log(interrupted).unused()


def test_prompts_that_are_asked_at_once_differ(store: Store) -> None:
    with ModelServer(lambda _: whole(2)) as server:
        run(store, server, calls=4)
    assert len({request.turns for request in server.requests}) == len(server.requests) == 4


def test_a_prompt_that_brought_nothing_new_is_not_asked_again_as_it_was(store: Store) -> None:
    """The relay, and a model without randomness, would reply the same for ever."""
    with ModelServer(lambda request: Say("I refuse") if len(request.turns) > 1 else Say("No.")) as server:
        run(store, server, calls=8)
    first = [request.turns for request in server.requests if len(request.turns) == 1]
    assert len(set(first)) == len(first) >= 3


def test_a_slow_reply_holds_up_nobody(store: Store) -> None:
    numbers = iter(range(2, 1000))

    def answer(request: Request) -> Say:
        number = next(numbers)
        return Say("late", after_s=60) if number == 2 else whole(number)

    with ModelServer(answer) as server:
        result = run(store, server, evaluations=10)
    assert result.evaluated == 10
    assert result.seconds < 50


def test_an_outage_that_passes_costs_calls_and_not_the_scaffold(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "PAUSE_S", 0.01)
    heard: list[events.Event] = []

    def answer(_: Request) -> Say | Fault:
        number = len(server.requests)
        return Fault(status=503) if 4 < number < 36 else whole(number + 1)

    with ModelServer(answer) as server:
        result = run(store, server, calls=44, listener=heard.append, patience=100)
    assert result.best is not None
    assert result.best.verdict.speedup == 45
    assert not [event for event in heard if isinstance(event, events.ProposerFailed)]


def test_an_endpoint_that_never_answered_is_given_up(store: Store) -> None:
    heard: list[events.Event] = []
    with ModelServer(lambda _: Fault(status=503)) as server:
        run(store, server, proposers=("numbers", "operator"), calls=1000, listener=heard.append)
    (failed,) = [event for event in heard if isinstance(event, events.ProposerFailed)]
    assert "8 times in a row there was no reply: server" in failed.message


def test_independent_samples_are_asked_for_without_a_history(store: Store) -> None:
    with ModelServer(lambda _: whole(len(server.requests) + 1)) as server:
        result = run(store, server, calls=6, policy="best_of_n")
    assert result.evaluated == 6
    assert all(not node.candidate.parents for node in result.graph)
    texts = {request.turns[0] for request in server.requests}
    assert len(texts) == 6
    assert not any(word in text for text in texts for word in ("tried", "times", "SPEEDUP"))


def test_sets_of_prompts_take_turns_and_are_told_apart(store: Store, tmp_path: Path) -> None:
    (tmp_path / "operator.md.j2").write_text("Be quick. {{ alike }}{% if parent %}{{ parent.source }}{% endif %}")

    def answer(request: Request) -> Say:
        number = len(server.requests)
        return whole(number + 1) if request.turns[0].startswith("Be quick.") else Say("No.")

    with ModelServer(answer) as server:
        result = run(store, server, calls=8, prompts=(str(tmp_path), "shipped"))
    view = load(store, result.run)
    own, ships = view.prompt_sets
    assert (own.name, own.usable, own.accepted) == (str(tmp_path), own.calls, result.evaluated)
    assert own.speedup == max(node.fitness for node in result.graph)
    assert (ships.name, ships.usable, ships.accepted, ships.speedup) == ("shipped", 0, 0, None)
    assert own.calls + ships.calls == 8
    assert view.to_json()["prompts"][0]["template"] == own.template
    console = Console(width=200)
    with console.capture() as shown:
        console.print(tables.run(view))
    assert "usable replies" in shown.get()


class Ready(Answerer):
    """Has a reply at once for as long as there are surprisals."""

    def __init__(self, *surprisals: float | None) -> None:
        self.ready = list(enumerate(surprisals, 1))

    async def ask(self, prompt: Prompt) -> Reply:
        if not self.ready:
            raise BudgetSpent("calls")
        number, surprisal = self.ready.pop(0)
        return Reply(number, "a:b", whole(number).text, 1, 1, None, 0.1, "stop", surprisal)

    def used(self, reply: Reply) -> None: ...

    def reward(self, replies: Sequence[Answered], gain: float) -> None: ...

    async def close(self) -> None: ...


def test_of_what_waits_for_the_judge_the_most_surprising_comes_first() -> None:
    target, models = ScriptedTarget(), Ready(0.1, 0.9, None, 0.5)

    async def notes() -> list[str]:
        operator = Operator()
        context = Context(
            "t", "class Model: ...", INFO, GRAPH, target.info(), target.ceilings(), "cpp", ScriptedJudge.compiled,
            models=models,
        )  # fmt: skip
        return [candidate.note for _ in range(4) async for candidate in operator.propose(context)]

    assert asyncio.run(notes()) == ["2 times", "4 times", "1 times", "3 times"]


class InTurn(ScriptedJudge):
    """Whose candidates share a device; the first one's checks take until all others wait for it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.device = RankedLock()

    async def evaluate(self, candidate: Candidate, *, rank: float | None = None, **how: Any) -> Verdict:
        self.evaluated.append(candidate.source)
        async with self.device.turn(rank) as step_aside:
            while len(self.evaluated) < len(SURPRISALS):
                await asyncio.sleep(0.01)
            await step_aside()
            return self.verdict(candidate)


SURPRISALS = {1: 0.25, 2: 2.0, 3: None, 4: 1.0}
"""Of the tokens of a reply, by the speedup that it writes."""


def test_of_correct_candidates_the_most_surprising_is_timed_first(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KW_SCRIPTED_CORES", "4")
    numbers = iter(SURPRISALS)

    def answer(_: Request) -> Say:
        number = next(numbers)
        said = SURPRISALS[number]
        return replace(whole(number), logprobs=None if said is None else [-said] * 3)

    with ModelServer(answer) as server:
        result = run(store, server, calls=4, policy="best_of_n", judge_factory=InTurn)
    assert result.evaluated == 4
    timed = [int(node.verdict.speedup or 0) for node in result.graph]
    assert [number for number in timed if SURPRISALS[number] is not None] == [2, 4, 1]
