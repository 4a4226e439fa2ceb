"""Candidates without a model: kernels made from a task's exported graph, for the tuner to take from there."""

from __future__ import annotations

from collections.abc import AsyncIterator

from kernelwright.proposers.base import Candidate, Context, Proposer
from kernelwright.proposers.catalogue.cpp.module import write
from kernelwright.proposers.catalogue.program import plan


class Catalogue(Proposer):
    """Parametric kernels generated from the graph of the first timed case."""

    name = "catalogue"

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        """Yields the best guess first, then variants that differ in structure; nothing once it has spoken."""
        if context.graph is None or context.language != "cpp" or context.notes.get("catalogue"):
            return
        context.notes["catalogue"] = True
        program = plan(context.graph, context.target)
        if not program.nests:
            return
        source = write(program, context.info, context.target)
        yield Candidate(source=source, language="cpp", proposer=self.name, note="fused kernels")
