"""The four roles of AKG (arXiv 2512.23424): Designer, Coder, Judge-reader, Conductor."""

from __future__ import annotations

from kernelwright.proposers.llm.role import CODER, CONDUCTOR, DESIGNER, JUDGE_READER, Role, Work
from kernelwright.proposers.llm.scaffold import Scaffold

_CALLS = {DESIGNER: 2, CODER: 1, JUDGE_READER: 2, CONDUCTOR: 3}
"""The calls that must be left for a role to act: its own, the Coder's, and those of whom the Conductor names."""


class Roles(Scaffold):
    """See `Scaffold`. From the task alone, the Designer sketches and the Coder writes. Of a version that was accepted
    the Judge-reader first names the bottleneck; of one that was rejected the judge has said what is wrong. Then the
    Conductor sends it to the Coder, or to the Designer and then the Coder.

    Where the calls that are left would end before the Coder's turn, it is the Coder's: what the others say is worth
    nothing without a candidate.
    """

    name = "roles"
    roles = (DESIGNER, CODER, JUDGE_READER, CONDUCTOR)
    longest = 4

    def next(self, last: Role | None, work: Work) -> Role | None:
        """See `Scaffold`."""
        if last is CODER:
            return None
        then = self._usual(last, work)
        left = self.longest if work.left is None else work.left
        return then if left >= _CALLS[then] else CODER

    def _usual(self, last: Role | None, work: Work) -> Role:
        """Who acts next where calls are no matter."""
        parent = work.memory.parent
        if last is None:
            if parent is None:
                return DESIGNER
            return JUDGE_READER if parent.verdict.accepted else CONDUCTOR
        if last is CONDUCTOR:
            return DESIGNER if work.notes.next == DESIGNER.name else CODER
        return CONDUCTOR if last is JUDGE_READER else CODER
