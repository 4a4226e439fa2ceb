"""Candidates without a model: kernels made from a task's exported graph, for the tuner to take from there.

How loops are arranged is data: `program_of` gives a task's kernels with their schedules, `Program.rescheduled` the same
kernels with others, `candidate` what is judged (`rewrites.py`, `schedule.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from kernelwright.proposers.base import Candidate, Context, Proposer
from kernelwright.proposers.catalogue.cpp.module import write
from kernelwright.proposers.catalogue.priors import alternatives
from kernelwright.proposers.catalogue.program import Program, plan
from kernelwright.proposers.catalogue.rewrites import spoken
from kernelwright.proposers.catalogue.schedule import Schedule
from kernelwright.tasks import TaskInfo

_MOST_OTHERS = 2
"""Schedules that are tried beside the best guess."""


class Catalogue(Proposer):
    """Parametric kernels generated from the graph of the first timed case."""

    name = "catalogue"

    def __init__(self) -> None:
        self._asked = False

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        """The first time it is asked, yields the best guess, then few schedules that may be as good; the tuner varies
        their numbers."""
        if self._asked:
            return
        self._asked = True
        program = program_of(context)
        if program is None:
            return
        yield candidate(program, context.info, note="fused kernels")
        for schedule in _others(program)[:_MOST_OTHERS]:
            others = program.rescheduled({schedule.name: schedule.rewrites})
            yield candidate(others, context.info, note=f"{schedule.name}: {spoken(schedule.rewrites)}")


def program_of(context: Context) -> Program | None:
    """The task's kernels with the schedules that are the best guesses; None where there are none to be had."""
    if context.graph is None or context.language != "cpp":
        return None
    program = plan(context.graph, context.target)
    guessed = program.lowering.axes.guessed and _has_other_sizes(context.info)
    return program if program.schedules and not guessed else None


def candidate(program: Program, info: TaskInfo, *, note: str) -> Candidate:
    """A program as a candidate.

    Raises:
        IllegalRewriteError: a kernel's loops are not finished.
    """
    return Candidate(source=write(program, info), language="cpp", proposer=Catalogue.name, note=note)


def _others(program: Program) -> list[Schedule]:
    """Other schedules that may be as good as those of the program, of the kernels that move most first."""
    kernels = sorted(program.schedules, key=lambda each: -sum(store.buffer.size for store in each.region.stores))
    return [other for each in kernels for other in alternatives(each.region, program.machine)]


def _has_other_sizes(info: TaskInfo) -> bool:
    """Whether a case has, or may have, inputs of other shapes than the exported one."""
    shapes = [[each.tensor.shape for each in case.inputs if each.tensor is not None] for case in info.cases]
    return info.hides or any(shape != shapes[0] for shape in shapes[1:])
