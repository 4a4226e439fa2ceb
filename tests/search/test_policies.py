from __future__ import annotations

import random

import pytest

from kernelwright import registry
from kernelwright.proposers.base import Candidate
from kernelwright.search.graph import Node, SearchGraph
from kernelwright.search.policies import Policy
from kernelwright.search.policies.evolve import ISLANDS, MIGRATION_INTERVAL, Evolve

from .test_graph import make_verdict

POLICIES = ["greedy", "best_of_n", "evolve"]


def made(name: str, seed: int = 0) -> Policy:
    policy: Policy = registry.load("policies", name)(random.Random(seed))
    return policy


class Searched:
    """A graph that grows the way the engine makes it grow."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.graph = policy, SearchGraph()

    def add(self, speedup: float | None, *parents: str) -> Node:
        candidate = Candidate(source=f"{len(self.graph)}", language="cpp", parents=parents)
        island = self.policy.place(self.graph, candidate)
        node = self.graph.add(candidate, make_verdict(candidate, speedup), island=island)
        self.policy.observe(self.graph, node)
        return node

    def grow(self, count: int, seed: int = 0) -> list[list[str]]:
        """Adds a child of what the policy selects, again and again; returns what it selected."""
        rng, selected = random.Random(seed), []
        for _ in range(count):
            parents = [node.id for node in self.policy.select(self.graph)]
            selected.append(parents)
            self.add(rng.choice([None, rng.uniform(0.5, 5)]), *parents[:1])
        return selected


@pytest.mark.parametrize("name", POLICIES)
def test_no_policy_selects_from_an_empty_graph_or_from_failures(name: str) -> None:
    searched = Searched(made(name))
    assert searched.policy.select(searched.graph) == []
    for _ in range(3):
        searched.add(None)
    assert searched.policy.select(searched.graph) == []


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_selects_accepted_nodes_of_the_graph_each_once(name: str) -> None:
    searched = Searched(made(name))
    for parents in searched.grow(80):
        assert len(set(parents)) == len(parents)
        assert all(searched.graph[parent].verdict.accepted for parent in parents)


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_is_repeatable(name: str) -> None:
    runs = [Searched(made(name, seed)) for seed in (5, 5)]
    assert runs[0].grow(60) == runs[1].grow(60)
    assert [node.island for node in runs[0].graph] == [node.island for node in runs[1].graph]


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_knows_after_a_resume_what_it_knew(name: str) -> None:
    searched = Searched(made(name))
    searched.grow(50)
    resumed = Searched(made(name))
    for node in searched.graph:
        island = resumed.policy.place(resumed.graph, node.candidate)
        assert island == node.island
        resumed.policy.observe(resumed.graph, resumed.graph.add(node.candidate, node.verdict, island=island))
    for policy in (searched.policy, resumed.policy):
        policy.random.seed(9)
    for _ in range(20):
        chosen = [[node.id for node in each.policy.select(each.graph)] for each in (searched, resumed)]
        assert chosen[0] == chosen[1]


def test_greedy_takes_the_best() -> None:
    searched = Searched(made("greedy"))
    for speedup in (1.0, 3.0, None, 2.0):
        searched.add(speedup)
    assert [node.fitness for node in searched.policy.select(searched.graph)] == [3.0]


def test_best_of_n_builds_on_nothing() -> None:
    searched = Searched(made("best_of_n"))
    searched.add(3.0)
    assert searched.policy.select(searched.graph) == []


def test_islands_start_apart_and_children_stay_with_their_parents() -> None:
    searched = Searched(made("evolve"))
    starts = [searched.add(1.0) for _ in range(ISLANDS)]
    assert [node.island for node in starts] == list(range(ISLANDS))
    for start in starts:
        child = searched.add(2.0, start.id)
        assert child.island == start.island
        assert searched.add(2.0, child.id).island == start.island


def test_migration_brings_the_best_to_the_next_island_where_it_has_children() -> None:
    policy = Evolve(random.Random(1))
    searched = Searched(policy)
    best = searched.add(9.0)
    for _ in range(MIGRATION_INTERVAL - 2):
        searched.add(1.0)
    assert best.island == 0
    assert all(best not in policy.elites(island) for island in range(1, ISLANDS))
    searched.add(1.0)
    assert policy.elites(1)[0] is best
    assert best not in policy.elites(2)
    children = [searched.add(0.5, best.id) for _ in range(MIGRATION_INTERVAL)]
    assert {child.island for child in children} == {0, 1}
    assert policy.elites(2)[0] is best


def test_without_migration_the_islands_would_not_have_met() -> None:
    """A migrant's line ends up on every island, so islands profit from what another one found."""
    policy = Evolve(random.Random(2))
    searched = Searched(policy)
    first = searched.add(5.0)
    for _ in range(2):
        searched.add(1.0)
    for step in range(6 * MIGRATION_INTERVAL):
        parent = policy.select(searched.graph)[0]
        searched.add(parent.fitness + 0.01 * (step % 3), parent.id)

    def ancestors(node: Node) -> set[str]:
        parents = node.candidate.parents
        return set(parents).union(*(ancestors(searched.graph[parent]) for parent in parents))

    for island in range(ISLANDS):
        born = [node for node in searched.graph.elites(100, island) if node.fitness > 5]
        assert any(first.id in ancestors(node) for node in born), f"island {island}"


def test_evolve_explores_more_than_the_best_island() -> None:
    policy = Evolve(random.Random(3))
    searched = Searched(policy)
    for speedup in (9.0, 2.0, 1.0):
        searched.add(speedup)
    first = [policy.select(searched.graph)[0].island for _ in range(300)]
    assert {0, 1, 2} == set(first)
    assert 0.6 < first.count(0) / 300 < 0.95


def test_evolve_offers_other_parents_when_one_leads_every_island() -> None:
    """So that a tuner is not starved by a leader that declares no parameters."""
    policy = Evolve(random.Random(4))
    searched = Searched(policy)
    leader = searched.add(9.0)
    for _ in range(3 * MIGRATION_INTERVAL):
        searched.add(1.0)
    assert all(policy.elites(island)[0] is leader for island in range(ISLANDS))
    assert all(len(policy.select(searched.graph)) == ISLANDS for _ in range(20))
