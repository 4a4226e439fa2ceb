"""Candidates without a model: kernels made from a task's exported graph, for the tuner to take from there."""

from __future__ import annotations

from collections.abc import AsyncIterator

from kernelwright.proposers.base import Candidate, Context, Proposer
from kernelwright.proposers.catalogue.cpp.module import write
from kernelwright.proposers.catalogue.program import plan


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
        if not program.nests:
            return
        source = write(program, context.info, context.target)
        yield Candidate(source=source, language="cpp", proposer=self.name, note="fused kernels")
