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
async def judging(
    path: Path, target: str = "cpu", language: str = "cpp", *, backward: bool = False
) -> AsyncIterator[Judge]:
    """A judge of the task, which has not drawn or answered anything yet; with `backward` its gradients count."""
    device, task = registry.load("targets", target)(), Task.load(path)
    device.ceilings()
    async with Judge(task.there_and_back if backward else task, device, language=language) as judge:
        yield judge


async def first_kernel(judge: Judge, language: str = "cpp") -> Candidate | None:
    """The catalogue's first kernel for the judge's task in a language; None where it has none."""
    graph = await judge.graph(judge.info.tune_case.name)
    target = judge.target
    context = Context(
        judge.task.id, "", judge.info.shown, graph, target.info(), target.ceilings(), language, judge.compiled
    )
    return await anext(registry.load("proposers", "catalogue")().propose(context), None)
