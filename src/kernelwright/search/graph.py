"""The search's memory: every evaluated candidate, who came from whom, and which are best."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Attempt, Candidate
from kernelwright.search.fitness import fitness


@dataclass(frozen=True, eq=False)
class Node:
    """An evaluated candidate. `number` counts from 0 in the order in which verdicts came, `at` is the second of the run
    at which this one's came."""

    number: int
    candidate: Candidate
    verdict: Verdict
    island: int = 0
    at: float = 0.0
    id: str = field(init=False)
    fitness: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", self.candidate.id)
        object.__setattr__(self, "fitness", fitness(self.verdict))

    @property
    def attempt(self) -> Attempt:
        """The node as proposers see it."""
        return Attempt(self.candidate, self.verdict)

    @property
    def order(self) -> tuple[float, int]:
        """Sorts better nodes first, and among equals the earlier one."""
        return (-self.fitness, self.number)


class SearchGraph:
    """Grows only. Adding costs O(log n) comparisons, everything else is a look-up."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._by_id: dict[str, Node] = {}
        self._elites: dict[int | None, list[Node]] = {None: []}

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes)

    def __contains__(self, candidate: str) -> bool:
        return candidate in self._by_id

    def __getitem__(self, candidate: str) -> Node:
        return self._by_id[candidate]

    def add(self, candidate: Candidate, verdict: Verdict, *, island: int = 0, at: float = 0.0) -> Node:
        """Adds an evaluated candidate that the graph has not yet."""
        node = Node(len(self._nodes), candidate, verdict, island, at)
        if node.id in self._by_id:
            raise ValueError(f"the graph has candidate {node.id} already")
        self._nodes.append(node)
        self._by_id[node.id] = node
        if verdict.accepted:
            for key in (None, island):
                insort(self._elites.setdefault(key, []), node, key=lambda each: each.order)
        return node

    def best(self) -> Node | None:
        """The accepted node of the highest fitness, the earliest among equals."""
        return next(iter(self._elites[None]), None)

    def elites(self, count: int, island: int | None = None) -> list[Node]:
        """Up to `count` accepted nodes, best first, of one island or of all."""
        return self._elites.get(island, [])[:count]
