"""Candidates without a model: kernels made from a task's exported graph, for the tuner to take from there."""

from __future__ import annotations

from collections.abc import AsyncIterator

from kernelwright.proposers.base import Candidate, Context, Proposer
from kernelwright.proposers.catalogue.cpp.module import write
from kernelwright.proposers.catalogue.program import plan
from kernelwright.tasks import TaskInfo


class Catalogue(Proposer):
    """Parametric kernels generated from the graph of the first timed case."""

    name = "catalogue"

    def __init__(self) -> None:
        self._asked = False

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        """Yields the best guess the first time it is asked; the tuner varies it."""
        if self._asked or context.graph is None or context.language != "cpp":
            return
        self._asked = True
        program = plan(context.graph, context.target)
        if not program.nests or (program.lowering.axes.guessed and _has_other_sizes(context.info)):
            return
        source = write(program, context.info, context.target)
        yield Candidate(source=source, language="cpp", proposer=self.name, note="fused kernels")


def _has_other_sizes(info: TaskInfo) -> bool:
    """Whether a case has, or may have, inputs of other shapes than the exported one."""
    shapes = [[each.tensor.shape for each in case.inputs if each.tensor is not None] for case in info.cases]
    return info.hides or any(shape != shapes[0] for shape in shapes[1:])
