"""Kernels for one GPU with no model: what the catalogue writes for a folder of tasks, and what becomes of it.

    python benchmarks/h100_suite.py --first                      only the first kernel of each task: some 30 s a task
    python benchmarks/h100_suite.py --budget 60s --json FILE     then searches, each ending side by side
    python benchmarks/h100_suite.py --only 'softmax*'            some of them
    python benchmarks/h100_suite.py --first --tasks benchmarks/gpu_suite --json FILE
                                                                 the CPU suite's tasks at sizes that a GPU wants
    python benchmarks/h100_suite.py --first --backward --only '*_8192*'  forward and backward together
    python benchmarks/h100_suite.py --first --starters PATH      AutoKernel's starters beside them: PATH is the folder
                                                                 `kernels` of github.com/RightNow-AI/autokernel

The tasks are those of benchmarks/gpu_tasks unless --tasks names another folder. With --json a suite that was
interrupted goes on where it was, and sources are kept beside the file. Times of eager, torch.compile
(max-autotune-no-cudagraphs) and the best kernel come from the side-by-side measurement at the end of a task's own run;
with --first the first kernel is in the place of the best.
"""

from __future__ import annotations

import asyncio
import fnmatch
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import kernelwright
from first_kernel import first_kernel, judging
from kernelwright import format as fmt
from kernelwright.proposers.base import Candidate
from suites import Row, filled, load_state, run_all, save_state, table, timed

TASKS = Path(__file__).resolve().parent / "gpu_tasks"
HEADINGS = ("task", "eager", "torch.compile", "first", "best", "over eager", "over torch.compile", "over starter",
            "first's share", "best's share", "judged", "outcome")  # fmt: skip
LANGUAGE = "triton"
COMPARE_S = 150.0
"""Seconds for a first kernel's comparison, half of them for torch.compile to be ready."""
STARTERS = {"attention_causal": "flash_attention", "cross_entropy": "cross_entropy", "layer_norm": "layernorm",
            "matmul": "matmul", "rms_norm": "rmsnorm", "rotary": "rotary_embedding", "row_sum": "reduce",
            "softmax": "softmax", "swiglu": "fused_mlp"}  # fmt: skip
"""AutoKernel's file for tasks whose names begin so; its functions take what our tasks take, in the same order."""
STARTER = """

class ModelNew(torch.nn.Module):
    def forward(self, *inputs):
        return kernel_fn(*inputs).to(inputs[0].dtype)  # a mean of its losses has 32 bits
"""
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class GpuRow(Row):
    """As `Row`, with the first kernel: its time in µs, its share of the floor's speed, and its source; `starter_us` is
    AutoKernel's time, not judged."""

    first_us: float | None = None
    first_share: float | None = None
    starter_us: float | None = None
    over_starter: float | None = None
    first_source: str = ""
    best_source: str = ""


def starter(task: str, folder: Path | None) -> list[Candidate]:
    """AutoKernel's kernel for a task, where it has one."""
    name = next((name for begin, name in STARTERS.items() if task.startswith(begin)), None)
    if folder is None or name is None:
        return []
    return [Candidate(source=(folder / f"{name}.py").read_text() + STARTER, language=LANGUAGE)]


async def judged_first(path: Path, backward: bool, starters: Path | None) -> GpuRow:
    """What the catalogue writes first, judged, and AutoKernel's kernel timed beside it."""
    begin = time.perf_counter()
    async with judging(path, "cuda", LANGUAGE, backward=backward) as judge:
        made = await first_kernel(judge, LANGUAGE)
        if made is None:
            return GpuRow(path.stem, "no_kernel", problem="the catalogue has none for it")
        verdict = await judge.evaluate(made)
        row = GpuRow(path.stem, "accepted" if verdict.accepted else "rejected", first_source=made.source, evaluated=1)
        if not verdict.accepted:
            return replace(row, problem=f"{verdict.reason}: {verdict.message}")
        rivals = starter(path.stem, starters)
        measured = await judge.compare([made, *rivals], limit=COMPARE_S)
    row = timed(row, measured, made.id)
    for beside in filter(None, (measured.row(rival.id) for rival in rivals)):
        over = row.speedup / beside.speedup if row.speedup else None
        row = replace(row, starter_us=beside.time_us, over_starter=over)
    return replace(
        row, first_us=row.best_us, first_share=row.floor_share, best_us=None, floor_share=None,
        seconds=time.perf_counter() - begin,
    )  # fmt: skip


def searched(path: Path, budget: str, backward: bool) -> GpuRow:
    """A search without a model, and its final comparison."""
    task = kernelwright.Task.load(path)
    task = task.there_and_back if backward else task
    result = kernelwright.optimize(task, target="cuda", language=LANGUAGE, budget=budget, out=None)
    row = filled(GpuRow(path.stem, ""), result)
    first = next((node for node in result.view.nodes if node.candidate.proposer == "catalogue"), None)
    row = replace(row, best_source=result.source or "")
    if first is None:
        return row
    row, verdict = replace(row, first_source=first.candidate.source), first.verdict
    if not (verdict.accepted and verdict.time_us and verdict.speedup):
        return replace(row, problem=f"first kernel {verdict.reason}: {verdict.message}")
    # Eager's time differs a little from run to run of a device: the first kernel is told by its ratio.
    time_us = row.eager_us / verdict.speedup if row.eager_us else verdict.time_us
    share = verdict.floor_us / verdict.time_us if verdict.floor_us else None
    return replace(row, first_us=time_us, first_share=share)


def measure(path: Path, budget: str | None, backward: bool, starters: Path | None) -> GpuRow:
    """One task."""
    try:
        if budget is None:
            return asyncio.run(judged_first(path, backward, starters))
        return searched(path, budget, backward)
    except kernelwright.TaskError as error:
        return GpuRow(path.stem, "error", problem=str(error))


def cells(row: GpuRow) -> tuple[str, ...]:
    """A row as text, in the order of HEADINGS."""
    times = (row.eager_us, row.compile_us, row.first_us, row.best_us)
    ratios = (fmt.speedup(row.speedup), fmt.speedup(row.over_compile), fmt.speedup(row.over_starter))
    shares = (fmt.percent(row.first_share), fmt.percent(row.floor_share))
    return row.task, *map(fmt.time, times), *ratios, *shares, str(row.evaluated), row.outcome.replace("_", " ")


def keep_sources(row: GpuRow, folder: Path) -> None:
    """The kernels as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for which, source in (("first", row.first_source), ("best", row.best_source)):
        if source:
            (folder / f"{row.task}_{which}.py").write_text(source)


@app.command()
def main(
    tasks: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the tasks are.")] = TASKS,
    budget: Annotated[str, typer.Option(help="Time for each task.")] = "60s",
    only: Annotated[str, typer.Option(metavar="GLOB", help="Names of tasks to run.")] = "*",
    first: Annotated[bool, typer.Option("--first", help="Only judge what the catalogue writes first.")] = False,
    backward: Annotated[bool, typer.Option("--backward", help="With gradients of inputs and parameters.")] = False,
    starters: Annotated[
        Path | None, typer.Option(metavar="PATH", exists=True, file_okay=False, help="AutoKernel's, with --first.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Keep rows here, and go on from them.")] = None,
) -> None:
    """Judge the catalogue's kernels on the first GPU, and search from there."""
    paths = {path.stem: path for path in sorted(tasks.glob("*.py")) if fnmatch.fnmatch(path.stem, only)}
    if not paths:
        sys.exit(f"error: no task in {tasks} matches {only!r}")
    if starters and (backward or not first or tasks != TASKS):
        sys.exit("error: --starters are timed beside first kernels of the benchmark's own tasks: --first, nothing else")
    spent = None if first else budget
    settings = f"{spent}{' backward' * backward}{' starters' * bool(starters)}"
    done = load_state(json_file, settings, GpuRow) if json_file else {}

    def keep(rows: Sequence[GpuRow]) -> None:
        if json_file:
            save_state(json_file, settings, rows)
            keep_sources(rows[-1], json_file.with_suffix(""))

    rows = run_all(list(paths), done, lambda name: measure(paths[name], spent, backward, starters), keep, cells)
    output = Console() if sys.stdout.isatty() else Console(width=180)
    output.print(table(HEADINGS, [cells(row) for row in rows]))


if __name__ == "__main__":
    app()
