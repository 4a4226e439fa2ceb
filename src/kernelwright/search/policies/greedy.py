"""Always improve the best."""

from __future__ import annotations

from kernelwright.search.graph import Node, SearchGraph
from kernelwright.search.policies.base import Policy


class Greedy(Policy):
    """Builds on the best node only: fastest where one family of kernels clearly wins, stuck where it does not."""

    def select(self, graph: SearchGraph) -> list[Node]:
        """The best node, if any."""
        return graph.elites(1)
