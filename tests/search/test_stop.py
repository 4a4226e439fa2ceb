from __future__ import annotations

from collections.abc import Callable

import pytest

from kernelwright.proposers.base import Candidate
from kernelwright.search.graph import SearchGraph
from kernelwright.search.stop import AnyOf, Budget, Evaluations, NearFloor, NoProgress, Stop, WallTime

from .test_graph import make_verdict


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def grown(*speedups: float | None, floor_share: float = 0.1) -> SearchGraph:
    graph = SearchGraph()
    for number, speedup in enumerate(speedups):
        candidate = Candidate(source=str(number), language="cpp")
        graph.add(candidate, make_verdict(candidate, speedup, floor_share))
    return graph


def unlimited() -> Budget:
    return Budget(None, None)


STOPS: list[Callable[[], Stop]] = [
    Evaluations, WallTime, NearFloor, lambda: NoProgress(3), lambda: AnyOf((Evaluations(), NoProgress(3))),
    lambda: AnyOf(()),
]  # fmt: skip


@pytest.mark.parametrize("make", STOPS)
def test_no_stop_ends_a_search_that_has_found_nothing_and_has_no_limits(make: Callable[[], Stop]) -> None:
    stop = make()
    assert stop.reason(grown(), unlimited()) == ""
    assert stop.reason(grown(*[None] * 50), unlimited()) == ""


@pytest.mark.parametrize("make", STOPS)
def test_every_stop_answers_from_graph_and_budget_alone(make: Callable[[], Stop]) -> None:
    asked_often, graph = make(), SearchGraph()
    for number in range(12):
        candidate = Candidate(source=str(number), language="cpp")
        graph.add(candidate, make_verdict(candidate, 1.0 if number < 2 else None))
        assert asked_often.reason(graph, Budget(None, 9)) == make().reason(graph, Budget(None, 9))


def test_evaluations() -> None:
    budget = Budget(None, 3)
    assert [bool(Evaluations().reason(grown(*[None] * n), budget)) for n in range(5)] == [False] * 3 + [True] * 2
    assert Evaluations().reason(grown(1.0, None, 2.0), budget) == "3 evaluations done"


def test_wall_time_keeps_time_for_the_final_comparison() -> None:
    clock = Clock()
    budget = Budget(60.0, None, clock=clock)
    assert (budget.search_left, budget.seconds_left, budget.elapsed) == (51.0, 60.0, 0.0)
    clock.now += 50.9
    assert WallTime().reason(grown(1.0), budget) == ""
    clock.now += 0.2
    assert WallTime().reason(grown(1.0), budget) == "60 s are over"
    clock.now += 68.8
    assert WallTime().reason(grown(None), budget) == "", "there is nothing to compare yet"
    assert budget.overtime_left == pytest.approx(0.1)
    clock.now += 0.2
    assert WallTime().reason(grown(None), budget) == "60 s are over"
    assert (budget.search_left, budget.seconds_left) == (0.0, 0.0)


@pytest.mark.parametrize(("seconds", "reserve"), [(1.0, 0.5), (10.0, 2.0), (60.0, 9.0), (3600.0, 30.0)])
def test_the_time_kept_back_fits_the_budget(seconds: float, reserve: float) -> None:
    assert Budget(seconds, None, clock=Clock()).search_left == seconds - reserve


def test_a_budget_counts_earlier_sittings() -> None:
    budget = Budget(60.0, 10, spent=50.0, started=7, clock=Clock())
    assert (budget.elapsed, budget.seconds_left, budget.evaluations_left) == (50.0, 10.0, 3)
    for _ in range(4):
        budget.start()
    assert budget.evaluations_left == 0
    assert unlimited().evaluations_left is unlimited().seconds_left is None


def test_no_progress() -> None:
    stop = NoProgress(3)
    assert stop.reason(grown(1.0, None, 0.5), unlimited()) == ""
    assert stop.reason(grown(1.0, None, 0.5, 1.0), unlimited()) == "no progress in 3 evaluations"
    assert stop.reason(grown(1.0, None, 0.5, 1.1), unlimited()) == ""


def test_near_the_floor() -> None:
    assert NearFloor().reason(grown(2.0, floor_share=0.96), unlimited()) == ""
    assert NearFloor().reason(grown(2.0, floor_share=0.975), unlimited()) == "98% of the floor's speed reached"
    assert NearFloor().reason(grown(None, floor_share=0.99), unlimited()) == ""


def test_a_lucky_measurement_is_not_near_the_floor() -> None:
    graph, candidate = SearchGraph(), Candidate(source="0", language="cpp")
    lucky = make_verdict(candidate, 2.0, 1.0).model_copy(update={"speedup_ci": (1.9, 2.1)})
    graph.add(candidate, lucky)
    assert NearFloor().reason(graph, unlimited()) == ""


def test_any_of_gives_the_first_reason() -> None:
    both = AnyOf((NoProgress(1), Evaluations()))
    assert both.reason(grown(1.0, None), Budget(None, 2)) == "no progress in 1 evaluations"
    assert both.reason(grown(None, None), Budget(None, 2)) == "2 evaluations done"
