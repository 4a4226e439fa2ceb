"""Islands that evolve apart and now and then exchange their best.

The island model of parallel evolutionary algorithms: R. Tanese, "Distributed genetic algorithms", ICGA 1989.
"""

from __future__ import annotations

import random
from bisect import insort
from itertools import islice

from kernelwright.proposers.base import Candidate
from kernelwright.search.graph import Node, SearchGraph
from kernelwright.search.policies.base import Policy

ISLANDS = 3
ELITES = 4
MIGRATION_INTERVAL = 12
"""Verdicts between migrations."""
EXPLOIT = 0.7
"""How often the best node's island is chosen; else each inhabited one is as likely."""


class Evolve(Policy):
    """Candidates without parents are dealt out to the islands in turn; a child lives on an island of its first parent.

    After every `MIGRATION_INTERVAL` verdicts each island's best node becomes a member of the next one too (a ring),
    where it competes for a place among the elites and has children like everyone else. `select` takes an island, then
    one of its elites (rank k of n with weight n - k), and adds the best of the other islands as inspiration.
    """

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self._members: list[list[Node]] = [[] for _ in range(ISLANDS)]
        self._homes: dict[str, list[int]] = {}
        self._dealt = 0

    def elites(self, island: int) -> list[Node]:
        """The island's best accepted members, migrants among them, best first."""
        return self._members[island][:ELITES]

    def select(self, graph: SearchGraph) -> list[Node]:
        """A parent from one island, then the best of each other one that is not chosen yet."""
        best = graph.best()
        if best is None:
            return []
        inhabited = [island for island in range(ISLANDS) if self._members[island]]
        island = best.island if self.random.random() < EXPLOIT else self.random.choice(inhabited)
        elites = self.elites(island)
        parent = self.random.choices(elites, weights=range(len(elites), 0, -1))[0]
        chosen = [parent]
        for other in inhabited:
            if other != island:
                others = (node for node in self._members[other] if node not in chosen)
                chosen += list(islice(others, 1))
        return chosen

    def place(self, graph: SearchGraph, candidate: Candidate) -> int:  # noqa: ARG002 - Policy's interface
        """An island of the first known parent (which of several, the candidate's id decides), else the next in turn."""
        homes = next((self._homes[parent] for parent in candidate.parents if parent in self._homes), None)
        return homes[int(candidate.id, 16) % len(homes)] if homes else self._dealt % ISLANDS

    def observe(self, graph: SearchGraph, node: Node) -> None:
        """Settles the node, and lets the best migrate when it is time."""
        self._dealt += not any(parent in self._homes for parent in node.candidate.parents)
        self._settle(node, node.island)
        if len(graph) % MIGRATION_INTERVAL == 0:
            migrants = [(members[0], island) for island, members in enumerate(self._members) if members]
            for migrant, island in migrants:
                self._settle(migrant, (island + 1) % ISLANDS)

    def _settle(self, node: Node, island: int) -> None:
        homes = self._homes.setdefault(node.id, [])
        if island not in homes:
            homes.append(island)
            if node.verdict.accepted:
                insort(self._members[island], node, key=lambda each: each.order)
