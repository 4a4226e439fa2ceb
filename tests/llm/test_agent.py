"""The coding agent inside a run: it reads, edits, evaluates and commits, and whatever it does the run goes on."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from agent_scripts import COMMIT, LOOP, calling, edit, evaluate, module, run, said, steps, write
from kw_scripted import ScriptedJudge
from model_server import ModelServer, Request, Say

from kernelwright.judge.verdict import CaseTiming, Verdict
from kernelwright.proposers.base import Candidate
from kernelwright.report.view import load
from kernelwright.store import Store


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
