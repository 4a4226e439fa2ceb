"""The kernel that benchmarks of the judge judge: the catalogue's first one for a task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kernelwright import registry
from kernelwright.judge.judge import Judge
from kernelwright.proposers.base import Candidate, Context
from kernelwright.tasks import Task

TASKS = Path(__file__).resolve().parent / "tasks"


@asynccontextmanager
async def judging(path: Path, target: str = "cpu", language: str = "cpp") -> AsyncIterator[Judge]:
    """A judge of the task, which has not drawn or answered anything yet."""
    device = registry.load("targets", target)()
    device.ceilings()
    async with Judge(Task.load(path), device, language=language) as judge:
        yield judge


async def first_kernel(judge: Judge, language: str = "cpp") -> Candidate | None:
    """The catalogue's first kernel for the judge's task in a language; None where it has none."""
    graph = await judge.graph(judge.info.tune_case.name)
    target = judge.target
    context = Context(
        judge.task.id, "", judge.info.shown, graph, target.info(), target.ceilings(), language, judge.compiled
    )
    return await anext(registry.load("proposers", "catalogue")().propose(context), None)
