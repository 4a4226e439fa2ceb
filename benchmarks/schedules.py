"""Whether a kernel's first guess is its fastest schedule: each against the others that the tuner would try.

    python benchmarks/schedules.py                          a few shapes where the guess is a close one
    python benchmarks/schedules.py benchmarks/tasks/X.py    a task of your own: its kernels are executed in this process

Calls of all candidates take turns in random order. `time` is how many times faster than the first guess a call was, the
median of paired ratios; `processor` the same for the processor time of all threads, which a busy machine spoils less.
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer
from torch import nn

from kernelwright import registry
from kernelwright.proposers.catalogue import candidate
from kernelwright.proposers.catalogue.cpp.renderer import Cpp
from kernelwright.proposers.catalogue.program import plan
from kernelwright.report.module import build
from kernelwright.tasks import Graph, Task, TaskInfo
from kernelwright.tasks.host import Reference

CASES = {
    "linear of 6 rows": ("self.linear = nn.Linear(2048, 2048)", "self.linear(x)", "torch.randn(6, 2048),"),
    "softmax of rows of 12": ("", "torch.softmax(x, -1)", "torch.randn(100000, 12),"),
    "convolution": ("self.conv = nn.Conv2d(64, 64, 3, padding=1)", "self.conv(x)", "torch.randn(1, 64, 28, 28),"),
    "few of long sums": ("", "x.T @ x.sin()", "torch.randn(16384, 64),"),
}  # fmt: skip
TASK = """import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        {init}

    def forward(self, x):
        return {forward}

def get_inputs():
    return [{inputs}]
"""
SECONDS = 20.0
MOST = 400

Calls = dict[str, list[tuple[float, float]]]


def compare(kernels: dict[str, nn.Module], inputs: list[Any]) -> Calls:
    """Seconds and processor seconds of each call, in the order of the rounds."""
    found: Calls = {name: [] for name in kernels}
    until = time.monotonic() + SECONDS
    with torch.no_grad():
        for kernel in kernels.values():
            kernel(*inputs)
        while time.monotonic() < until and len(found[next(iter(found))]) < MOST:
            for name in random.sample(list(kernels), len(kernels)):
                processor, start = time.process_time(), time.perf_counter()
                kernels[name](*inputs)
                found[name].append((time.perf_counter() - start, time.process_time() - processor))
    return found


def show(name: str, path: Path) -> None:
    """Measures one task."""
    reference = Reference(Task.load(path).source.model_dump())
    info = TaskInfo.model_validate(reference.describe())
    graph = reference.export(info.tune_case.name)
    if graph is None:
        typer.echo(f"{name}: {reference.export_problem}")
        return
    program = plan(Graph.model_validate(graph), registry.load("targets", "cpu")().info(), Cpp())
    model = reference.model(0, info.tune_case.name)
    programs = {"first guess": program}
    for each in program.renderer.alternatives(program):
        rewrites = {each.schedule.name: each.schedule.rewrites}
        programs[f"{each.schedule.name} {each.name}"] = program.rescheduled(rewrites)
    kernels = {which: build(candidate(each, info, note="").source, info, model) for which, each in programs.items()}
    calls = compare(kernels, reference.draw(info.tune_case.name, 0))
    guess = calls.pop("first guess")
    typer.echo(f"{name}: {1e3 * median(seconds for seconds, _ in guess):.2f} ms, {len(guess)} rounds")
    for other_name, times in calls.items():
        ratios = [[a[i] / max(b[i], 1e-9) for a, b in zip(guess, times, strict=True)] for i in (0, 1)]
        typer.echo(f"    {other_name}: time {median(ratios[0]):.2f} x, processor {median(ratios[1]):.2f} x")


def main(tasks: Annotated[list[Path] | None, typer.Argument()] = None) -> None:
    """Compares the schedules of the tasks, or of a few shapes."""
    for path in tasks or []:
        show(path.stem, path)
    if tasks:
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, (init, forward, inputs) in CASES.items():
            path = Path(folder, f"{name.replace(' ', '_')}.py")
            path.write_text(TASK.format(init=init or "pass", forward=forward, inputs=inputs))
            show(name, path)


if __name__ == "__main__":
    typer.run(main)
