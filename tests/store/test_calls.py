from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from sqlalchemy import insert

from kernelwright.proposers.base import Candidate
from kernelwright.proposers.llm.call import (
    NOTHING,
    Answered,
    CallFailed,
    Calling,
    PastCall,
    Prompt,
    Reply,
    Results,
    Tool,
    ToolCall,
    Usage,
)
from kernelwright.store import Store
from kernelwright.store.schema import CallRow
from kernelwright.targets.base import TargetInfo
from kernelwright.tasks import Task

PROMPT = Prompt("system", ("ask", "answer", "ask again"), "operator", "v1")


@pytest.fixture
def run(store: Store, make_task: Callable[..., Task], target: TargetInfo) -> str:
    return store.create(make_task(), target, {}, 0)


def reply(call: int, **more: object) -> Reply:
    facts = {"text": "λ\n", "model": "m", "input_tokens": 10, "output_tokens": 20, "cost_usd": 0.5, "seconds": 1.5}
    return Reply(call=call, **{**facts, "finish": "stop", "surprisal": 0.25, **more})  # type: ignore[arg-type]


def test_calls_come_back_as_they_went(store: Store, run: str) -> None:
    log = store.call_log(run)
    other = Prompt("system", ("else",), "designer")
    assert [log.begin(PROMPT, "m"), log.begin(other, "n"), log.begin(other, "m"), log.begin(other, "m")] == [1, 2, 3, 4]
    log.arrived(reply(1, cost_usd=None, surprisal=None))
    log.failed(2, CallFailed("timeout", "no reply", usage=None), 3.0)
    log.failed(3, CallFailed("refused", "I will not", usage=Usage(5, 6, 0.1)), 2.0)
    made = Candidate(source="a", language="cpp", replies=(1,))
    store.propose(run, made)
    log.rewarded([1], 0.7)
    first, second, third, fourth = store.calls(run)
    assert (first.number, first.prompt, first.model, first.used, first.gain) == (1, PROMPT, "m", True, 0.7)
    assert (first.candidate, second.candidate) == (made.id, "")
    assert first.reply == reply(1, cost_usd=None, surprisal=None)
    assert (first.failure, first.usage) == (None, Usage(10, 20, None))
    assert (second.failure, second.detail, second.usage, second.seconds) == ("timeout", "no reply", None, 3.0)
    assert (third.failure, third.usage, third.reply, third.prompt) == ("refused", Usage(5, 6, 0.1), None, other)
    assert (fourth.failure, fourth.usage) == ("cancelled", None)


def test_calls_of_tools_come_back_as_they_went(store: Store, run: str) -> None:
    tools = (Tool("run", "Runs it.", {"type": "object", "properties": {"n": {"type": "integer"}}}),)
    called = Calling("I run", (ToolCall("c1", "run", '{"n": 1}'), ToolCall("c2", "run", '{"n": 2}')), "[signed]")
    turns = ("ask", called, Results(("one", "two"), "and now?", "3 left"), "text", "again")
    prompt = Prompt("system", turns, "agent", tools=tools)
    log = store.call_log(run)
    log.arrived(reply(log.begin(prompt, "m"), text="", calls=called.calls, private="[more]"))
    (resumed,) = store.call_log(run).unused()
    assert resumed == (prompt, store.calls(run)[0].reply)
    assert (resumed[1].calls, resumed[1].private) == (called.calls, "[more]")


def test_replies_of_earlier_sittings_that_nobody_used_are_handed_out(store: Store, run: str) -> None:
    log = store.call_log(run)
    numbers = [log.begin(PROMPT, "m") for _ in range(5)]
    for number in numbers[:3]:
        log.arrived(reply(number))
    log.failed(numbers[3], CallFailed("server"), 1.0)
    log.used(numbers[1])
    assert not log.unused()
    resumed = store.call_log(run)
    assert resumed.unused() == [(PROMPT, reply(1)), (PROMPT, reply(3))]
    resumed.used(1)
    assert store.call_log(run).unused() == [(PROMPT, reply(3))]


def test_replies_are_used_by_the_candidate_that_comes_of_them_but_for_calls_of_tools(store: Store, run: str) -> None:
    """All of it in one transaction: a run that is killed has both or none."""
    log, tool = store.call_log(run), (ToolCall("c1", "evaluate", "{}"),)
    for calls in ((), tool, ()):
        log.arrived(reply(log.begin(PROMPT, "m"), calls=calls))
    made = Candidate(source="a", language="cpp", replies=(1, 2))
    store.propose(run, made)
    found = [(call.candidate, call.used) for call in store.calls(run)]
    assert found == [(made.id, True), (made.id, False), ("", False)]
    assert [waiting.call for _, waiting in store.call_log(run).unused()] == [2, 3]


def test_what_came_of_replies_is_for_the_next_sitting_to_see(store: Store, run: str) -> None:
    log = store.call_log(run)
    for _ in range(4):
        log.arrived(reply(log.begin(PROMPT, "m")))
    log.failed(log.begin(PROMPT, "n"), CallFailed("server"), 1.0)
    made = Candidate(source="a", language="cpp", replies=(1, 3))
    store.propose(run, made)
    log.rewarded([2], 0.0)
    assert not log.unrewarded()
    resumed = store.call_log(run)
    assert resumed.unrewarded() == [(Answered(1, "m"), made.id), (Answered(3, "m"), made.id), (Answered(4, "m"), "")]
    resumed.rewarded([1, 4], 0.5)
    assert [call.call for call, _ in store.call_log(run).unrewarded()] == [3]
    assert [call.gain for call in store.calls(run)] == [0.5, 0.0, None, 0.5, None]


def test_what_is_past_does_not_grow_with_the_sitting(store: Store, run: str) -> None:
    log = store.call_log(run)
    log.arrived(reply(log.begin(PROMPT, "m")))
    log.failed(log.begin(PROMPT, "m"), CallFailed("rate_limited", usage=NOTHING), 0.5)
    log.begin(PROMPT, "m")
    log.rewarded([1], 0.3)
    assert log.past() == []
    resumed = store.call_log(run)
    resumed.begin(PROMPT, "m")
    assert resumed.past() == [
        PastCall("m", None, Usage(10, 20, 0.5), 1.5, 0.3),
        PastCall("m", "rate_limited", NOTHING, 0.5, None),
        PastCall("m", "cancelled", None, 0.0, None, PROMPT),
    ]


def test_runs_have_calls_of_their_own(
    store: Store, run: str, make_task: Callable[..., Task], target: TargetInfo
) -> None:
    other = store.create(make_task(), target, {}, 0)
    for each in (run, other, run):
        store.call_log(each).begin(PROMPT, "m")
    assert [len(store.calls(each)) for each in (run, other)] == [2, 1]


def test_a_run_that_paid_for_calls_is_kept(store: Store, run: str) -> None:
    store.call_log(run).begin(PROMPT, "m")
    store.discard_empty(run)
    assert store.run(run).id == run


def test_ten_thousand_calls_do_not_slow_the_next(store: Store, run: str) -> None:
    """Each call is written as quickly as the first ones were: whatever grows would show many times over, in the
    quickest as well, which other programs disturb least."""
    log, system = store.call_log(run), "guide " * 5000

    def write(number: int) -> float:
        started = time.perf_counter()
        call = log.begin(Prompt(system, (f"task {number}",), "operator"), "m")
        log.arrived(reply(call, text="kernel " * 500))
        log.used(call)
        return time.perf_counter() - started

    first = min(write(number) for number in range(40))
    row = {"run_id": run, "purpose": "operator", "template": "", "model": "m", "base": [], "prompt": []}
    row |= {"ended": True, "input_tokens": 1, "output_tokens": 1, "reply": "kernel " * 500, "used": True}
    with store._database.writing() as session:
        session.execute(insert(CallRow), [{**row, "number": number} for number in range(41, 10_001)])
    last = min(write(number) for number in range(40))
    assert last < 10 * first
    assert len(store.call_log(run).past()) == 10_040
