"""Independent samples, of which the best counts: the baseline that every other policy has to beat."""

from __future__ import annotations

from kernelwright.search.graph import Node, SearchGraph
from kernelwright.search.policies.base import Policy


class BestOfN(Policy):
    """Builds on nothing: every candidate is made from the task alone, so proposers that need parents stay idle, and
    what was tried is in no prompt."""

    independent = True

    def select(self, graph: SearchGraph) -> list[Node]:  # noqa: ARG002 - Policy's interface
        """No node."""
        return []
