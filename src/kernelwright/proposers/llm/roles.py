"""The four roles of AKG (arXiv 2512.23424): Designer, Coder, Judge-reader, Conductor."""

from __future__ import annotations

from kernelwright.proposers.llm.role import CODER, CONDUCTOR, DESIGNER, JUDGE_READER, Role, Work
from kernelwright.proposers.llm.scaffold import Scaffold


class Roles(Scaffold):
    """See `Scaffold`. From the task alone, the Designer sketches and the Coder writes. Of a version that was accepted
    the Judge-reader first names the bottleneck; of one that was rejected the judge has said what is wrong. Then the
    Conductor sends it to the Coder, or to the Designer and then the Coder.
    """

    name = "roles"
    roles = (DESIGNER, CODER, JUDGE_READER, CONDUCTOR)

    def next(self, last: Role | None, work: Work) -> Role | None:
        """See `Scaffold`."""
        parent = work.memory.parent
        if last is None:
            if parent is None:
                return DESIGNER
            return JUDGE_READER if parent.verdict.accepted else CONDUCTOR
        if last is CONDUCTOR:
            return DESIGNER if work.notes.next == DESIGNER.name else CODER
        return {JUDGE_READER: CONDUCTOR, DESIGNER: CODER}.get(last)
