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
async def judged(path: Path) -> AsyncIterator[tuple[Judge, Candidate | None]]:
    """A judge of the task, and the catalogue's first kernel; None where it has none."""
    task = Task.load(path)
    target = registry.load("targets", "cpu")()
    target.ceilings()
    async with Judge(task, target) as judge:
        graph = await judge.graph(judge.info.tune_case.name)
        context = Context(task.id, "", judge.info.shown, graph, target.info(), target.ceilings(), "cpp", judge.compiled)
        yield judge, await anext(registry.load("proposers", "catalogue")().propose(context), None)
