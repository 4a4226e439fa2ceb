"""The coding agent inside a run: it reads, edits, evaluates and commits, and whatever it does the run goes on."""

from __future__ import annotations

import asyncio
import itertools
import math
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from kw_scripted import ScriptedJudge, make_task
from model_server import Disconnect, Fault, ModelServer, Request, Say, Stall

from kernelwright.errors import StoreError
from kernelwright.judge.verdict import CaseTiming, Verdict
from kernelwright.proposers.base import Candidate
from kernelwright.proposers.llm import outage
from kernelwright.proposers.llm.config import CallSettings, Configuration, ModelConfig
from kernelwright.proposers.llm.limits import Limits
from kernelwright.report.view import load
from kernelwright.search import SearchResult, Settings, events, search
from kernelwright.store import Store

QUICK = CallSettings(timeout_s=10, tries=3, backoff_s=0.01, longest_wait_s=0.05)
DONE = Say("I am done.")


def settings(server: ModelServer, *, calls: int = 20, protocol: str = "openai", **options: Any) -> Settings:
    url = server.url if protocol == "openai" else server.root
    models = Configuration(
        models=(ModelConfig(spec=f"{protocol}:scripted", base_url=url),), limits=Limits(calls=calls), call=QUICK
    )
    values = {"target": "scripted", "proposers": ("agent",), "seed": 1, "budget_s": 30.0, **options}
    return Settings(models=models, **values)


def run(store: Store, server: ModelServer, **options: Any) -> SearchResult:
    given = {name: options.pop(name, None) for name in ("listener", "resume")}
    judge = options.pop("judge_factory", ScriptedJudge)
    return asyncio.run(search(make_task(), settings(server, **options), store, judge_factory=judge, **given))


def module(speedup: float, more: str = "") -> str:
    return f"SPEEDUP = {speedup}\n{more}\nclass ModelNew:\n    pass\n"


def write(speedup: float, more: str = "") -> tuple[str, Any]:
    return "write", {"source": module(speedup, more)}


def edit(old: float, new: float) -> tuple[str, Any]:
    return "edit", {"blocks": f"<<<<<<< SEARCH\nSPEEDUP = {old}\n=======\nSPEEDUP = {new}\n>>>>>>> REPLACE\n"}


def evaluate(idea: str = "") -> tuple[str, Any]:
    return "evaluate", {"idea": idea}


def calling(*calls: tuple[str, Any]) -> Say:
    return Say("", calls=calls)


COMMIT = ("commit", {})


def said(request: Request) -> int:
    """How many replies of the model the conversation has."""
    return sum(message["role"] == "assistant" for message in request.body["messages"])


def steps(*answers: Any) -> Callable[[Request], Any]:
    """Each conversation goes by these replies; after them the model only says that it is done."""
    return lambda request: answers[said(request)] if said(request) < len(answers) else DONE


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_an_agent_reads_edits_evaluates_and_commits(store: Store, protocol: str) -> None:
    script = steps(
        calling(("task", {}), ("guide", {}), ("nodes", {}), ("search_knowledge", {"query": "softmax rows"})),
        calling(("documents", {}), ("document", {"name": "cpp/rules"}), ("document", {"name": "../x"})),
        calling(write(2), evaluate("two at once")),
        calling(COMMIT, ("nodes", {"order": "latest"})),
        calling(edit(2, 5), evaluate("five at once"), COMMIT),
    )
    with ModelServer(script) as server:
        result = run(store, server, calls=6, protocol=protocol)
    assert result.best is not None
    best = result.best.candidate
    assert (result.best.verdict.speedup, best.proposer, best.note) == (5, "agent", "five at once")
    (parent,) = best.parents
    assert result.graph[parent].candidate.source == module(2)
    task, guide, nodes, knowledge, documents, document, none, written, judged, committed, listed, changed, *_ = (
        server.requests[-1].results
    )
    assert "Scripted 1: 2 cores" in task
    assert "tvm_ffi" in guide
    assert "0 versions" in nodes
    assert knowledge.startswith("# ")
    assert "`cpp/rules`, constraint: C++ that builds at the first attempt" in documents
    assert document.startswith("# C++ that builds at the first attempt\n\n")
    assert "there is no document '../x'" in none
    assert "4 lines" in written
    assert "Accepted" in judged
    assert "2.00x" in committed
    assert f"`{parent}` (your lineage's head) by agent, two at once" in listed
    assert "4 lines" in changed
    calls = store.calls(result.run)
    assert len(calls) == len(server.requests) == 6
    assert sum(call.reply.input_tokens for call in calls if call.reply) == server.input_tokens
    assert {call.prompt.purpose for call in calls} == {"agent"}


def test_only_what_is_right_and_not_slower_is_committed(store: Store) -> None:
    script = steps(
        calling(COMMIT, evaluate()),
        calling(write(0), evaluate(), COMMIT),
        calling(write(3), COMMIT, evaluate(), COMMIT, COMMIT),
        calling(write(2), evaluate(), COMMIT),
        calling(edit(2, 3.5), COMMIT),
    )
    with ModelServer(script) as server:
        result = run(store, server, calls=6)
    assert result.evaluated == 3
    results = server.requests[-1].results
    wanted = ("no verdict", "no working version", "", "wrong_values", "it was rejected", "", "no verdict", "Accepted",
              "Committed", "head already", "", "it cannot be committed", "it is slower", "", "no verdict")  # fmt: skip
    assert len(results) == len(wanted)
    assert all(part in result for part, result in zip(wanted, results, strict=True)), results


def test_an_agent_is_told_in_each_turn_what_is_left(store: Store) -> None:
    script = steps(calling(("task", {}), ("nodes", {})), calling(write(2), evaluate()), calling(edit(2, 5), evaluate()))
    with ModelServer(script) as server:
        run(store, server, calls=4, evaluations=9)
    results = server.requests[3].results
    left = [re.search(r"\n\n\(Left until you are stopped: at most (.*), \d+ s\.(.*)\)$", text) for text in results]
    assert [found.groups() if found else None for found in left] == [
        None, ("3 replies, 9 evaluations", ""), None, ("2 replies, 8 evaluations", ""),
        None, ("1 reply, 7 evaluations", " Let this last reply evaluate the best that you can make."),
    ]  # fmt: skip


def test_what_is_left_is_no_part_of_what_is_asked(store: Store) -> None:
    """So a replay, which has limits of its own, finds each reply by its prompt."""
    with ModelServer(steps(*LOOP)) as server:
        recorded = run(store, server, calls=4, evaluations=9).run
    replayed = run(store, server, replay=recorded).run
    assert store.asked(replayed) == {"replay:same prompt": 4}
    told = [str(store.calls(each)[1].prompt.turns[2]) for each in (recorded, replayed)]
    assert ["at most 3 replies, 9 evaluations" in text for text in told] == [True, False]
    assert "at most 3 replies, " in told[1]


def test_an_agent_goes_on_from_what_others_found(store: Store) -> None:
    """It begins at the version that the policy chose, sees what comes after, and can take it up."""

    def answer(request: Request) -> Any:
        if said(request) == 0:
            return calling(("nodes", {}))
        listed = [line.split("`")[1] for line in request.results[0].splitlines() if "number 5" in line]
        if not listed:
            return calling(("nodes", {"count": 100 - said(request)}))
        return calling(("node", {"version": listed[0][:6]}), ("check_out", {"version": listed[0]}), COMMIT)

    with ModelServer(answer) as server:
        run(store, server, calls=6, proposers=("numbers", "agent"), policy="greedy")
    assert any("Committed" in result or "head already" in result for result in server.requests[-1].results)


class Timed(ScriptedJudge):
    """Its verdicts have what a profile is made from."""

    def verdict(self, candidate: Candidate) -> Verdict:
        judged = super().verdict(candidate)
        if not judged.accepted:
            return judged
        times = {"time_us": judged.time_us, "reference_us": judged.reference_us, "floor_us": judged.floor_us}
        timing = CaseTiming(
            case="default", speedup=judged.speedup, speedup_ci=judged.speedup_ci, pairs=6, calls=4, **times
        )
        kernels = {"scale": {"calls": 1, "seconds": 0.9e-6 * judged.time_us}}
        counters = {"calls": 4, "seconds": 4e-6 * judged.time_us, "busy_s": 4e-6 * judged.time_us, "missing": "no more"}
        return judged.model_copy(update={"timings": (timing,), "evidence": {"kernels": kernels, "counters": counters}})


def test_an_agent_reads_what_bounds_a_version_and_only_of_those_that_were_timed(store: Store) -> None:
    def answer(request: Request) -> Any:
        versions = [line.split("`")[1] for text in request.results for line in text.splitlines() if "Version `" in line]
        profiles = [("profile", {"version": version}) for version in versions]
        return calling(*(profiles or [write(0), evaluate(), write(2), evaluate()]), ("profile", {"version": "0000"}))

    with ModelServer(answer) as server:
        run(store, server, calls=3, judge_factory=Timed)
    judged, wrong, profile, none = (server.requests[2].results[at] for at in (3, 5, 6, 7))
    assert "It is bound by latency (its cores wait): cores are idle" in judged
    assert "1.0 of 2 cores busy" in judged
    assert "inside its own kernels" not in judged  # that is about other bottlenecks
    assert "there is no profile of it: wrong_values" in wrong
    assert "90 % of a call's time is inside its own kernels (says its own process)" in profile
    assert "no more" in profile
    assert "there is no version '0000'" in none


def test_sets_of_prompts_take_turns_between_conversations(store: Store, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "agent.opening.md.j2").write_text("Be quick.{% if start %} {{ start.id }}{% endif %}")

    def answer(request: Request) -> Any:
        if said(request) > 2:
            return Say("no")
        return calling(write(said(request) + 2 + 10 * ("Be quick" in request.turns[0])), evaluate(), COMMIT)

    with ModelServer(answer) as server:
        result = run(store, server, calls=24, prompts=(str(own), "shipped"))
    first, second = load(store, result.run).prompt_sets
    assert (first.name, second.name) == (str(own), "shipped")
    assert first.calls + second.calls == 24
    assert (first.accepted, first.speedup) == (3, 14)
    assert (second.accepted, second.speedup) == (3, 4)
    assert 3 <= first.usable < first.calls


HOSTILE: Sequence[tuple[str, Any]] = [
    ("rm", {"path": "/"}),
    ("__init__", {}),
    ("node", {"version": "../../../etc/passwd"}),
    ("node", {"version": "0000"}),
    ("node", {}),
    ("nodes", {"count": 10**30}),
    ("nodes", {"order": "best", "path": "/etc"}),
    ("search_knowledge", {"query": "x" * 100_000}),
    ("search_knowledge", {"query": {"$ne": 1}}),
    ("write", "no JSON"),
    ("write", {"source": "class ModelNew: pass\0"}),
    ("write", {"source": "(" * 5000 + "class ModelNew: pass"}),
    ("edit", {"blocks": "<<<<<<< SEARCH\n" * 1000}),
    ("evaluate", {"idea": ["a"] * 1000}),
    ("evaluate", {"idea": "nothing is written"}),
    ("commit", {"force": True}),
]


def test_hostile_arguments_come_back_as_text(store: Store) -> None:
    script = steps(calling(*HOSTILE), calling(("write", {"source": "y" * 150_000})), calling(write(2), evaluate()))
    with ModelServer(script) as server:
        result = run(store, server, calls=4)
    assert result.best is not None
    assert result.best.candidate.source == module(2)
    results = server.requests[-1].results
    assert "There is no tool 'rm'" in results[0]
    assert "at most 100000 characters" in results[len(HOSTILE)]
    assert all(0 < len(each) < 1500 for each in results)
    assert result.evaluated == 1


def test_the_supervisor_turns_an_agent_that_does_not_get_on(store: Store, tmp_path: Path) -> None:
    worse = itertools.count()
    known = tmp_path / "home" / "knowledge" / "mine.md"
    known.parent.mkdir(parents=True)
    known.write_text("---\ntitle: Additions\nkind: guidance\n---\n\n## Add faster\n\nUse the left hand.\n")

    def answer(_: Request) -> Any:
        return calling(write(1.9, f"# {next(worse)}"), evaluate())

    with ModelServer(answer) as server:
        run(store, server, calls=40, proposers=("numbers", "agent"), policy="greedy")
    # A version is given with the first direction, known things with the second; then a new conversation begins.
    directions = [request.turns[-1] for request in server.requests if "do not get on" in request.turns[-1]]
    assert any("8 versions in a row were not faster" in text for text in directions)
    assert any("by numbers, number" in text for text in directions)
    assert any("Use the left hand." in text for text in directions)
    assert sum(said(request) == 0 for request in server.requests) > 1


def test_five_rejections_in_a_row_are_a_reason_to_turn(store: Store) -> None:
    numbers = itertools.count()
    with ModelServer(lambda _: calling(write(0, f"# {next(numbers)}"), evaluate())) as server:
        run(store, server, calls=6)
    assert "5 versions in a row were rejected" in server.requests[5].turns[-1]


def test_the_same_call_again_and_again_is_a_reason_to_turn(store: Store) -> None:
    with ModelServer(lambda _: calling(("task", {}))) as server:
        run(store, server, calls=4)
    assert "You called `task` in the same way 3 times" in server.requests[3].turns[-1]


def test_a_model_that_calls_no_tools_does_not_hold_the_run(store: Store) -> None:
    with ModelServer(lambda _: Say("```python\nclass ModelNew: pass\n```")) as server:
        result = run(store, server, calls=100, proposers=("numbers", "agent"))
    assert result.outcome == "faster"
    assert "you work by calling tools" in server.requests[1].turns[-1]
    assert len(server.requests) < 50


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

    async def evaluate(self, candidate: Candidate, *, best: Verdict | None = None, brief: bool = False) -> Verdict:
        if "SPEEDUP = 5" in candidate.source:
            raise StoreError("the disk is full")
        return await super().evaluate(candidate, best=best, brief=brief)


LOOP = (calling(("task", {})), calling(write(2), evaluate(), COMMIT), calling(edit(2, 5), evaluate("five")))


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


CHILD = """
import asyncio, sys
sys.path[:0] = sys.argv[2:]
from kw_scripted import ScriptedJudge, make_task
from kernelwright.search import Settings, search
from kernelwright.store import Store

settings = Settings.model_validate_json(sys.argv[1])
asyncio.run(search(make_task(), settings, Store(), judge_factory=ScriptedJudge))
"""


def test_a_killed_run_asks_nothing_twice(tmp_path: Path) -> None:
    """kill -9 while the fourth reply is on its way: the three that had arrived are not asked for again."""
    plugin = str(Path(__file__).parents[1] / "search" / "plugin")
    with ModelServer(steps(*LOOP, Stall())) as server:
        arguments = [sys.executable, "-c", CHILD, settings(server).model_dump_json(), plugin]
        child = subprocess.Popen(arguments)
        deadline = time.monotonic() + 60
        while len(server.requests) < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        child.kill()
        child.wait()
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
