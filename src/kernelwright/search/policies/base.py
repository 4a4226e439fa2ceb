"""Which nodes of the graph to build on next."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod

from kernelwright.proposers.base import Candidate
from kernelwright.search.graph import Node, SearchGraph


class Policy(ABC):
    """Life cycle: made once a sitting with its own source of randomness. For each verdict, in order, the search asks
    `place` for the candidate's island and then shows the new node to `observe`; whenever a proposer is asked for
    candidates it asks `select` for parents. On resume the stored verdicts go through `place` and `observe` again, so
    what a policy remembers must follow from these two alone; only `select` may use the randomness.
    """

    independent = False
    """Whether candidates are to know nothing of each other."""

    def __init__(self, rng: random.Random) -> None:
        self.random = rng

    @abstractmethod
    def select(self, graph: SearchGraph) -> list[Node]:
        """The accepted nodes to build on: the first is the one to improve, the others may inspire. Empty means: start
        from the task alone."""

    def place(self, graph: SearchGraph, candidate: Candidate) -> int:  # noqa: ARG002 - the interface
        """The island on which a candidate lives, before it is added."""
        return 0

    def observe(self, graph: SearchGraph, node: Node) -> None:  # noqa: B027 - most policies remember nothing
        """A node was added."""
