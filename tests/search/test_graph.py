from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Candidate
from kernelwright.search.fitness import fitness
from kernelwright.search.graph import Node, SearchGraph

# A candidate: its speedup (None: rejected), its island, and how far back in the graph its parents are.
Spec = tuple[float | None, int, list[int]]
specs = st.lists(
    st.tuples(
        st.none() | st.sampled_from([0.5, 1.0, 2.0]) | st.floats(0.01, 100),
        st.integers(0, 2),
        st.lists(st.integers(1, 5), max_size=2, unique=True),
    ),
    max_size=30,
)


def make_verdict(candidate: Candidate, speedup: float | None, floor_share: float = 0.1) -> Verdict:
    facts = {"candidate": candidate.id, "task": "t", "target": "k", "language": "cpp"}
    if speedup is None:
        return Verdict(**facts, outcome="rejected", reason="wrong_values")
    floor_us = 100 * floor_share
    times = {"time_us": 100.0, "floor_us": floor_us, "traffic_us": floor_us, "speedup_ci": (speedup, speedup)}
    return Verdict(**facts, outcome="accepted", speedup=speedup, **times)


def grown(specs: list[Spec]) -> SearchGraph:
    graph = SearchGraph()
    for number, (speedup, island, back) in enumerate(specs):
        ids = [node.id for node in graph]
        parents = tuple(ids[-distance] for distance in back if distance <= len(ids))
        candidate = Candidate(source=f"{number}", language="cpp", parents=parents)
        graph.add(candidate, make_verdict(candidate, speedup), island=island, at=float(number))
    return graph


@given(specs)
def test_the_best_is_the_first_of_the_highest_fitness(specs: list[Spec]) -> None:
    graph = grown(specs)
    accepted = [node for node in graph if node.verdict.accepted]
    best = graph.best()
    if not accepted:
        assert best is None
    else:
        assert best is not None
        assert best.fitness == max(node.fitness for node in accepted)
        assert all(node.number > best.number for node in accepted if node.fitness == best.fitness and node is not best)


@given(specs, st.integers(0, 8))
def test_elites_are_the_accepted_nodes_of_an_island_or_of_all_best_first(specs: list[Spec], count: int) -> None:
    graph = grown(specs)
    for island in (None, 0, 1, 2, 7):
        nodes = [node for node in graph if node.verdict.accepted and island in (None, node.island)]
        expected = sorted(nodes, key=lambda node: (-node.fitness, node.number))[:count]
        assert graph.elites(count, island) == expected


@given(specs)
def test_the_graph_keeps_everything_in_order(specs: list[Spec]) -> None:
    graph = grown(specs)
    assert len(graph) == len(specs)
    assert [node.number for node in graph] == list(range(len(specs)))
    for node in graph:
        assert node.id in graph
        assert graph[node.id] is node
        assert node.attempt.candidate.id == node.id
        for parent in node.candidate.parents:
            assert graph[parent].number < node.number


def test_a_candidate_is_in_the_graph_once() -> None:
    graph = grown([(1.0, 0, [])])
    node = next(iter(graph))
    with pytest.raises(ValueError, match=node.id):
        graph.add(node.candidate, node.verdict)
    assert len(graph) == 1
    assert "nobody" not in graph


@given(st.none() | st.floats(0.001, 1000))
def test_fitness_is_the_speedup_of_what_is_accepted(speedup: float | None) -> None:
    assert fitness(make_verdict(Candidate(source="", language="cpp"), speedup)) == (speedup or 0.0)


def test_nodes_are_told_apart_by_identity_not_by_content() -> None:
    candidate = Candidate(source="", language="cpp")
    verdict = make_verdict(candidate, 1.0)
    assert Node(0, candidate, verdict) != Node(0, candidate, verdict)
    assert math.isclose(Node(0, candidate, verdict).fitness, 1.0)
