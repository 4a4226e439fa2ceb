"""The universal operator: one role whose prompt is built anew at each step from what the judge said, from what is
known, and from one of four kinds of memory (KernelEvolve, arXiv 2512.23236)."""

from __future__ import annotations

from kernelwright.proposers.llm.role import OPERATOR, Role, Work
from kernelwright.proposers.llm.scaffold import Scaffold


class Operator(Scaffold):
    """See `Scaffold`. A step is one role's."""

    name = "operator"
    roles = (OPERATOR,)

    def next(self, last: Role | None, work: Work) -> Role | None:  # noqa: ARG002 - Scaffold's interface
        """See `Scaffold`."""
        return OPERATOR if last is None else None
