"""The coding agent and an endpoint that fails, a conversation that grows too long, a run that ends in the middle."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from agent_scripts import COMMIT, LOOP, calling, evaluate, run, said, settings, steps, write
from kw_scripted import ScriptedJudge
from llm_runs import QUICK, child
from model_server import Disconnect, Fault, ModelServer, Request, Say, Stall

from kernelwright.errors import StoreError
from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Candidate
from kernelwright.proposers.llm import outage
from kernelwright.search import events
from kernelwright.store import Store


@pytest.mark.parametrize("replies", [0, 1], ids=["none offered", "no results"])
def test_an_endpoint_that_takes_no_tools_is_told_of(store: Store, replies: int) -> None:
    heard: list[events.Event] = []
    answers = [calling(("task", {}))] * replies
    script = steps(*answers, *[Fault(400, "tools are not supported")] * 9)
    with ModelServer(script) as server:
        result = run(store, server, proposers=("numbers", "agent"), listener=heard.append)
    assert result.outcome == "faster"
    (failed,) = [event for event in heard if isinstance(event, events.ProposerFailed)]
    assert "tools are not supported" in failed.message
    assert "--scaffold operator" in failed.message


@pytest.mark.parametrize("fault", [Disconnect(), Fault(503), Say("no", finish="refusal"), Say("  ")])
def test_faults_in_mid_loop_cost_calls_and_not_the_conversation(store: Store, fault: Any) -> None:
    script = steps(calling(("task", {})), calling(write(2), evaluate()), calling(COMMIT))
    faults = iter([fault])

    def answer(request: Request) -> Any:
        return next(faults, None) or script(request) if said(request) == 1 else script(request)

    with ModelServer(answer) as server:
        result = run(store, server, calls=5)
    assert result.best is not None
    assert "Committed" in server.requests[-1].results[-1]
    assert sum(call.failure is not None for call in store.calls(result.run)) == 1


def test_an_outage_that_passes_costs_calls_and_not_the_conversation(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "PAUSE_S", 0.01)
    script = steps(calling(write(2), evaluate()), calling(COMMIT))
    down = range(1, 1 + 6 * QUICK.tries)
    heard: list[events.Event] = []

    with ModelServer(lambda request: Fault(503) if len(server.requests) - 1 in down else script(request)) as server:
        result = run(store, server, calls=len(down) + 3, listener=heard.append)
    assert result.best is not None
    assert "Committed" in server.requests[-1].results[-1]
    assert not [event for event in heard if isinstance(event, events.ProposerFailed)]


def test_a_conversation_that_is_too_long_loses_its_oldest_results(store: Store) -> None:
    script = steps(
        calling(("guide", {}), ("search_knowledge", {"query": "exact", "count": 10})),
        calling(("search_knowledge", {"query": "results", "count": 10})),
        calling(write(2), evaluate()),
    )

    def answer(request: Request) -> Any:
        too_long = said(request) > 1 and not request.results[1].startswith("(dropped")
        return Fault(400, "too long", code="context_length_exceeded") if too_long else script(request)

    with ModelServer(answer) as server:
        result = run(store, server, calls=5)
    assert result.best is not None
    guide, _, last, *_ = server.requests[-1].results
    assert "tvm_ffi" in guide
    assert last.startswith("# ")


class Failing(ScriptedJudge):
    """The disk is full in the middle of an evaluation."""

    async def evaluate(self, candidate: Candidate, **how: Any) -> Verdict:
        if "SPEEDUP = 5" in candidate.source:
            raise StoreError("the disk is full")
        return await super().evaluate(candidate, **how)


def test_a_run_that_ended_in_an_evaluation_goes_on_from_its_verdict(store: Store) -> None:
    with ModelServer(steps(*LOOP)) as server:
        with pytest.raises(StoreError):
            run(store, server, judge_factory=Failing)
        assert len(server.requests) == 3
        result = run(store, server, calls=5, resume=store.runs()[0].id)
    assert len(server.requests) == 5
    assert said(server.requests[3]) == 3
    assert "Accepted" in server.requests[3].results[-1]
    assert "It is not slower than the lineage's head, which has 2.00x: commit it." in server.requests[3].results[-1]
    assert result.best is not None
    assert result.best.verdict.speedup == 5
    assert not store.call_log(result.run).unused()
    gains = [call.gain for call in store.calls(result.run)]
    assert gains[:3] == pytest.approx([math.log(2), math.log(2), math.log(5 / 2)])


def test_a_killed_run_asks_nothing_twice() -> None:
    """kill -9 while the fourth reply is on its way: the three that had arrived are not asked for again."""
    with ModelServer(steps(*LOOP, Stall())) as server:
        searching = child(settings(server))
        deadline = time.monotonic() + 60
        while len(server.requests) < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        searching.kill()
        searching.wait()
        assert [said(request) for request in server.requests] == [0, 1, 2, 3]
    store = Store()
    interrupted = store.runs()[0].id
    with ModelServer(steps(*LOOP, calling(COMMIT))) as again:
        result = run(store, again, calls=6, resume=interrupted)
    assert [said(request) for request in again.requests] == [3, 4]
    now, then = (each.body["messages"] for each in (again.requests[0], server.requests[3]))
    assert now[:-1] == then[:-1]
    assert now[-1]["content"].partition("(Left")[0] == then[-1]["content"].partition("(Left")[0]
    assert "Committed" in again.requests[1].results[-1]
    assert result.best is not None
    assert result.best.verdict.speedup == 5
    assert [node.verdict is not None for node in store.nodes(interrupted)] == [True, True]
    store.close()
