"""Candidates without a model: kernels made from a task's exported graph, for the tuner to take from there.

How loops are arranged is data: `program_of` gives a task's kernels with their schedules, `Program.rescheduled` the same
kernels with others, `candidate` what is judged (`rewrites.py`, `schedule.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from kernelwright.proposers.base import Candidate, Context, Proposer
from kernelwright.proposers.catalogue.cpp.renderer import Cpp
from kernelwright.proposers.catalogue.forward import own_inputs
from kernelwright.proposers.catalogue.module import write
from kernelwright.proposers.catalogue.program import Program, plan
from kernelwright.proposers.catalogue.renderer import Renderer
from kernelwright.proposers.catalogue.triton.renderer import Triton
from kernelwright.tasks import TaskInfo

RENDERERS: dict[str, Renderer] = {each.language: each for each in (Cpp(), Triton())}
"""By the language they render to."""


class Catalogue(Proposer):
    """Parametric kernels generated from the graph of the first timed case."""

    name = "catalogue"

    def __init__(self) -> None:
        self._asked = False

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        """Yields the best guess the first time it is asked; the tuner varies it."""
        if self._asked:
            return
        self._asked = True
        program = program_of(context)
        if program is not None:
            yield candidate(program, context.info, note="fused kernels")


def program_of(context: Context) -> Program | None:
    """The task's kernels with the schedules that are the best guesses; None where there are none to be had."""
    renderer = RENDERERS.get(context.language)
    if context.graph is None or renderer is None:
        return None
    program = plan(context.graph, context.target, renderer)
    bound = program.lowering.axes.guessed or context.graph.gradients  # autograd counts elements as it is traced
    return program if program.schedules and not (bound and _has_other_sizes(context.info)) else None


def candidate(program: Program, info: TaskInfo, *, note: str) -> Candidate:
    """A program as a candidate.

    Raises:
        IllegalRewriteError: a kernel's loops are not finished.
    """
    return Candidate(
        source=write(program, info), language=program.renderer.language, proposer=Catalogue.name, note=note
    )


def _has_other_sizes(info: TaskInfo) -> bool:
    """Whether a case has, or may have, inputs of other shapes or dtypes than the exported one."""
    forms = [
        [(each.tensor.shape, each.tensor.dtype) for each in own_inputs(case) if each.tensor is not None]
        for case in info.cases
    ]
    return info.hides or any(form != forms[0] for form in forms[1:])
