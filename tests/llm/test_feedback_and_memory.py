from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

import pytest
from llm_attempts import accepted, context, rejected

from kernelwright.judge.verdict import Reason
from kernelwright.proposers.base import Attempt, History
from kernelwright.proposers.llm import feedback, memory
from kernelwright.proposers.llm.templates import shipped


def told(attempt: Attempt) -> str:
    return feedback.told(attempt, context(), shipped())


def test_a_compilers_complaint_comes_with_the_lines_around_it() -> None:
    attempt = rejected("build_failed", message="'y' was not declared", evidence={"line": 6, "output": "error: y"})
    said = told(attempt)
    assert ">    6 |   x[0] = y;" in said
    assert "     5 | void add(float* x) {" in said
    assert "'y' was not declared" in said
    assert "error: y" in said


def test_a_picture_of_what_is_wrong_keeps_its_lines() -> None:
    attempt = rejected("wrong_values", evidence={"map": ["..##", "...."], "map_legend": "rows down"})
    assert "..##\n....\n" in told(attempt) + "\n"


def test_an_accepted_one_is_told_with_its_distance_from_the_floor() -> None:
    said = told(accepted(4.0))
    assert "4.00x" in said
    assert "20% of the floor" in said


def test_of_a_kernel_on_a_gpu_it_says_what_it_takes_and_nothing_about_cores() -> None:
    attempt = accepted(4.0)
    taken = {"registers": 168, "spilled_bytes": 0, "shared_bytes": 98_304, "warps": 8, "more": 1}
    evidence = {"resources": {f"softmax\n {number}": taken for number in range(100)}}
    attempt = Attempt(attempt.candidate, attempt.verdict.model_copy(update={"evidence": evidence}))
    known = context()
    gpu = context(target=known.target.model_copy(update={"multiprocessors": 132}))
    said = feedback.told(attempt, gpu, shipped())
    assert (
        "- kernel softmax 0: registers 168, spilled_bytes 0, shared_bytes 98304, warps 8 (says its own process)\n"
        in said
    )
    assert said.count("- kernel") == 8
    assert "bound by" in told(attempt)
    assert "bound by" not in said


@pytest.mark.parametrize("reason", get_args(Reason))
def test_every_reason_has_a_meaning_for_who_is_to_mend_it(reason: str) -> None:
    assert len(told(rejected(reason)).splitlines()[0]) > len(f"Rejected: {reason}. ")
    assert reason in feedback.summary(rejected(reason), shipped())


def test_floods_are_cut() -> None:
    attempt = rejected(
        "crashed", message="m" * 10**6, evidence={"output": "o" * 10**6, "trace": "t" * 10**6, "x": ["y"] * 10**5}
    )
    assert len(told(attempt)) < 10_000


class Situation:
    """As much of a context as choosing a memory needs."""

    def __init__(self, parents: Sequence[Attempt] = (), history: Sequence[Attempt] = (), seed: int = 0) -> None:
        self.parents, self.history, self.random = parents, History(history), random.Random(seed)
        self.independent = False


def kinds(count: int = 300, **situation: Any) -> Counter[str]:
    made = Situation(**situation)
    return Counter(memory.choose(made, "operator").kind for _ in range(count))


def test_with_nothing_there_is_nothing_to_remember() -> None:
    assert set(kinds()) == {"clean_slate"}


def test_with_failures_only_the_latest_is_mended() -> None:
    history = [rejected("build_failed", "one"), rejected("wrong_values", "two")]
    chosen = memory.choose(Situation(history=history), "operator")
    assert (chosen.kind, chosen.parent) == ("repair", history[1])


def test_what_is_being_mended_is_left_to_that_step() -> None:
    history = [rejected("build_failed", "one"), rejected("wrong_values", "two")]
    taken = {history[1].candidate.id}
    assert memory.choose(Situation(history=history), "operator", taken).parent == history[0]
    taken |= {history[0].candidate.id}
    assert memory.choose(Situation(history=history), "operator", taken).kind == "clean_slate"


def test_a_policy_that_starts_from_the_task_alone_gets_that() -> None:
    assert set(kinds(history=[accepted(2.0), rejected("crashed")])) == {"clean_slate"}


def test_all_kinds_come_up_where_they_can() -> None:
    parent, mate = accepted(2.0, "p"), accepted(1.5, "m")
    child = accepted(1.8, "c", parents=(parent.candidate.id,))
    broken = rejected("crashed", "b")
    found = kinds(parents=[parent, mate], history=[parent, mate, child, broken])
    assert set(found) == set(get_args(memory.Kind))
    assert found["repair"] > 100


def test_no_sibling_and_no_mate_where_there_is_none() -> None:
    parent = accepted(2.0)
    assert set(kinds(parents=[parent], history=[parent])) == {"inherit", "clean_slate"}


def test_what_has_been_taken_up_or_failed_too_often_or_is_not_ours_is_not_mended() -> None:
    parent = accepted(2.0, "p")
    first = rejected("crashed", "1")
    line = [first]
    for number in range(2, 4):
        line.append(rejected("crashed", str(number), parents=(line[-1].candidate.id,)))
    others = [rejected("crashed", "x", proposer="catalogue"), rejected("tampering", "y")]
    assert "repair" not in kinds(parents=[parent], history=[parent, *line, *others])
    assert "repair" in kinds(parents=[parent], history=[parent, *line[:2]])


def test_siblings_are_few_and_the_best_and_the_worst_are_among_them() -> None:
    parent = accepted(2.0, "p")
    children = [
        accepted(speedup, str(speedup), parents=(parent.candidate.id,)) for speedup in (1.0, 2.5, 3.0, 1.5, 0.5)
    ]
    for seed in range(100):
        chosen = memory.choose(Situation([parent], [parent, *children], seed), "operator")
        if chosen.kind == "siblings":
            assert [one.verdict.speedup for one in chosen.others] == [3.0, 2.5, 0.5]
            return
    pytest.fail("siblings never came up")


def test_a_history_finds_what_is_asked_of_it() -> None:
    parent, wrong = accepted(2.0, "p"), rejected("crashed", "w")
    child = accepted(3.0, "c", parents=(parent.id, wrong.id))
    slow = accepted(1.0, "s", parents=(parent.id,))
    history = History([parent, wrong])
    history.add(child)
    history.add(slow)
    assert list(history) == [parent, wrong, child, slow]
    assert history[-2:] == [child, slow]
    assert (history.find(child.id), history.find("nothing")) == (child, None)
    assert list(history.children(parent.id)) == [child, slow]
    assert list(history.children(wrong.id)) == [child]
    assert not history.children(slow.id)
    assert history.best(2) == [parent, child]
    assert history.best(9) == [parent, child, slow]
