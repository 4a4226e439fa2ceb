"""Optimises every task in benchmarks/tasks, one after the other, and reports how much faster each became.

    python benchmarks/cpu_suite.py                     all tasks, 60 s each
    python benchmarks/cpu_suite.py --tasks 'softmax*'  some of them
    python benchmarks/cpu_suite.py --resume            go on where Ctrl-C ended it
    python benchmarks/cpu_suite.py --docs              also write docs/results/cpu_suite.{md,json,svg}

Every number comes from the side-by-side measurement at the end of a task's own run.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import kernelwright
from kernelwright import format as fmt
from kernelwright import registry

ROOT = Path(__file__).resolve().parent.parent
TASKS = ROOT / "benchmarks" / "tasks"
STATE = ROOT / "build" / "cpu_suite.json"
DOCS = ROOT / "docs" / "results"
OUT = ROOT / "build" / "cpu_suite"
DEVICE_FACTS = ("model", "cores", "simd", "l2_bytes", "l3_bytes", "memory_bytes")
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class Row:
    """One task. Times in µs; `floor_share` is the floor's time over the best kernel's, `first_s` the second at
    which the first kernel was accepted; `problem` says why numbers are missing."""

    task: str
    outcome: str
    run: str = ""
    eager_us: float | None = None
    compile_us: float | None = None
    best_us: float | None = None
    speedup: float | None = None
    speedup_ci: tuple[float, float] | None = None
    over_compile: float | None = None
    floor_share: float | None = None
    proposer: str = ""
    evaluated: int = 0
    seconds: float = 0.0
    first_s: float | None = None
    problem: str = ""


@dataclass(frozen=True)
class Summary:
    """All tasks together: means are geometric, `median_floor_share` is over tasks with a kernel."""

    tasks: int
    accepted: int
    speedup: float | None
    over_compile: float | None
    median_floor_share: float | None


def measure(path: Path, budget: str) -> Row:
    """Optimises one task."""
    try:
        result = kernelwright.optimize(path, budget=budget, out=OUT)
    except kernelwright.TaskError as error:
        return Row(path.stem, "error", problem=str(error))
    best, measured = result.view.best_node, result.comparison
    row = Row(path.stem, result.outcome, result.run, evaluated=len(result.view.nodes), seconds=result.view.seconds)
    if best is None or measured is None:
        return row
    eager, compiled, own = (measured.row(name) for name in ("eager", "torch.compile", best.candidate.id))
    return dataclasses.replace(
        row,
        eager_us=eager.time_us if eager else None,
        compile_us=compiled.time_us if compiled else None,
        best_us=own.time_us if own else None,
        speedup=own.speedup if own else None,
        speedup_ci=own.speedup_ci if own else None,
        over_compile=own.speedup_over_compile if own else None,
        floor_share=own.floor_share if own else None,
        proposer=best.candidate.proposer,
        first_s=next(node.at for node in result.view.nodes if node.verdict.accepted),
        problem=measured.compile_problem,
    )


def summarise(rows: Sequence[Row]) -> Summary:
    """The means of all rows that have numbers."""

    def mean(values: list[float]) -> float | None:
        return statistics.geometric_mean(values) if values else None

    shares = [row.floor_share for row in rows if row.floor_share]
    return Summary(
        tasks=len(rows),
        accepted=sum(row.speedup is not None for row in rows),
        speedup=mean([row.speedup for row in rows if row.speedup]),
        over_compile=mean([row.over_compile for row in rows if row.over_compile]),
        median_floor_share=statistics.median(shares) if shares else None,
    )


HEADINGS = ("task", "eager", "torch.compile", "best", "over eager", "95 % interval", "over torch.compile",
            "of the floor's speed", "outcome")  # fmt: skip


def cells(row: Row) -> tuple[str, ...]:
    """A row as text, in the order of HEADINGS."""
    times = (fmt.time(row.eager_us), fmt.time(row.compile_us), fmt.time(row.best_us))
    ratios = (fmt.speedup(row.speedup), fmt.interval(row.speedup_ci), fmt.speedup(row.over_compile))
    return row.task, *times, *ratios, fmt.percent(row.floor_share), row.outcome.replace("_", " ")


def sentence(summary: Summary) -> str:
    """The summary in words."""
    return (
        f"{summary.accepted} of {summary.tasks} tasks end with an accepted kernel. Geometric mean: "
        f"{fmt.speedup(summary.speedup)} over eager, {fmt.speedup(summary.over_compile)} over torch.compile. "
        f"Median share of the floor's speed: {fmt.percent(summary.median_floor_share)}."
    )


def table(rows: Sequence[Row]) -> Table:
    """All rows for the terminal."""
    made = Table(box=None, pad_edge=False)
    for rank, heading in enumerate(HEADINGS):
        made.add_column(heading, header_style="dim", justify="right" if 0 < rank < len(HEADINGS) - 1 else "left")
    for row in rows:
        made.add_row(*map(Text, cells(row)))
    return made


def facts(budget: str) -> dict[str, Any]:
    """Where and with what the suite ran."""
    device = registry.load("targets", "cpu")().info().model_dump()
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "command": f"python benchmarks/cpu_suite.py --budget {budget} --docs",
        "device": {name: device[name] for name in DEVICE_FACTS},
        "versions": {name: version(name) for name in ("kernelwright", "torch", "apache-tvm-ffi")},
    }


def load_state(budget: str) -> dict[str, Row]:
    """Rows of an earlier, interrupted suite with the same budget."""
    if not STATE.exists():
        return {}
    state = json.loads(STATE.read_text())
    return {row["task"]: Row(**row) for row in state["rows"]} if state["budget"] == budget else {}


def save_state(budget: str, rows: Sequence[Row]) -> None:
    """Keeps what is measured, so that an interrupted suite loses at most the task that was running."""
    STATE.parent.mkdir(parents=True, exist_ok=True)
    temporary = STATE.with_suffix(".new")
    temporary.write_text(json.dumps({"budget": budget, "rows": [asdict(row) for row in rows]}))
    temporary.replace(STATE)


def write_docs(rows: Sequence[Row], where: dict[str, Any]) -> None:
    """docs/results/cpu_suite.{json,md,svg}."""
    DOCS.mkdir(parents=True, exist_ok=True)
    summary = summarise(rows)
    data = {**where, "summary": asdict(summary), "rows": [asdict(row) for row in rows]}
    (DOCS / "cpu_suite.json").write_text(json.dumps(data, indent=2) + "\n")
    (DOCS / "cpu_suite.md").write_text(markdown(rows, summary, where))
    plot(rows, DOCS / "cpu_suite.svg", where)


def markdown(rows: Sequence[Row], summary: Summary, where: dict[str, Any]) -> str:
    """The table as a page of the documentation."""
    device = where["device"]
    lines = [
        "# CPU suite",
        "",
        f"Made by `{where['command']}` on {where['date']}. Do not edit.",
        "",
        sentence(summary),
        "",
        "![Speedup over eager PyTorch](cpu_suite.svg)",
        "",
        f"{device['model']}, {device['cores']} cores, {device['simd']}, L2 {fmt.size(device['l2_bytes'])}, L3 "
        f"{fmt.size(device['l3_bytes'])}. "
        + ", ".join(f"{name} {text}" for name, text in where["versions"].items())
        + ".",
        "",
        "Times are of one forward call, measured in turn in separate processes at the end of each run; speedups are "
        "medians of paired ratios with their 95 % confidence interval. The floor is what moving the bytes and the "
        "arithmetic take at least, measured in turn with them.",
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "| --- |" + " ---: |" * (len(HEADINGS) - 2) + " --- |",
        *("| " + " | ".join(cells(row)) + " |" for row in rows),
        "",
        *(f"- {row.task}: {row.problem}" for row in rows if row.problem),
    ]
    return "\n".join(lines).rstrip() + "\n"


def plot(rows: Sequence[Row], path: Path, where: dict[str, Any]) -> None:
    """Bars of the speedup over eager for torch.compile and Kernelwright, slowest gain at the bottom."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter, NullFormatter

    mpl.rcParams.update({"svg.hashsalt": "kernelwright", "font.family": "sans-serif", "font.size": 10})
    shown = sorted((row for row in rows if row.speedup), key=lambda row: row.speedup or 0.0)
    figure, axes = plt.subplots(figsize=(8.4, 1.3 + 0.36 * len(shown)), layout="constrained")
    for offset, colour, label, values in (
        (0.2, "#2f5fd0", "Kernelwright", [row.speedup or 1.0 for row in shown]),
        (-0.2, "#b8bfca", "torch.compile", [_ratio(row) for row in shown]),
    ):
        # Bars grow from 1×, so that slower than eager shows as a bar to the left.
        lengths = [value - 1 for value in values]
        bars = axes.barh(
            [n + offset for n in range(len(shown))], lengths, height=0.38, left=1, color=colour, label=label
        )
        axes.bar_label(bars, [f"{value:.1f}×" for value in values], padding=3, fontsize=8, color="#5f6570")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(shown)), [row.task for row in shown])
    axes.set_xlabel("speedup over eager PyTorch")
    axes.set_title(
        f"{where['device']['model']}, {where['device']['cores']} cores", loc="left", fontsize=10, color="#5f6570"
    )
    axes.axvline(1, color="#1b1d21", linewidth=0.8)
    axes.grid(axis="x", color="#e1e4e8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.1, y=0.02)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _ratio(row: Row) -> float:
    return row.eager_us / row.compile_us if row.eager_us and row.compile_us else 1.0


@app.command()
def main(
    budget: Annotated[str, typer.Option(help="Time for each task.")] = "60s",
    tasks: Annotated[str, typer.Option(metavar="GLOB", help="Names of tasks to run.")] = "*",
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip tasks that the last, interrupted suite has done.")
    ] = False,
    docs: Annotated[bool, typer.Option("--docs", help="Write docs/results/cpu_suite.{md,json,svg}.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Optimise every task in benchmarks/tasks and report how much faster each became."""
    paths = [path for path in sorted(TASKS.glob("*.py")) if fnmatch.fnmatch(path.stem, tasks)]
    if not paths:
        sys.exit(f"error: no task in {TASKS} matches {tasks!r}")
    done = load_state(budget) if resume else {}
    progress = Console(stderr=True, highlight=False)
    for number, path in enumerate(paths, start=1):
        if path.stem not in done:
            progress.print(f"[{number}/{len(paths)}] {path.stem} …", markup=False)
            try:
                done[path.stem] = row = measure(path, budget)
            except KeyboardInterrupt:
                progress.print(f"interrupted; {len(done)} tasks are kept, go on with --resume")
                sys.exit(130)
            except kernelwright.KernelwrightError as error:
                progress.print(f"error: {error}", markup=False)
                sys.exit(error.exit_code)
            save_state(budget, list(done.values()))
            progress.print(
                "      " + "  ".join(cells(row)[1:]) + (f"  {row.problem}" if row.problem else ""), markup=False
            )
    rows = [done[path.stem] for path in paths]
    where = facts(budget)
    if docs:
        write_docs(rows, where)
    if as_json:
        print(
            json.dumps({**where, "summary": asdict(summarise(rows)), "rows": [asdict(row) for row in rows]}, indent=2)
        )
        return
    output = Console() if sys.stdout.isatty() else Console(width=160)
    output.print(table(rows))
    output.print(sentence(summarise(rows)), highlight=False)


if __name__ == "__main__":
    app()
