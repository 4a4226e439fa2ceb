"""Optimises every task in benchmarks/tasks, one after the other, and reports how much faster each became.

    python benchmarks/cpu_suite.py                     all tasks, 60 s each
    python benchmarks/cpu_suite.py --tasks 'softmax*'  some of them
    python benchmarks/cpu_suite.py --resume            go on where Ctrl-C ended it
    python benchmarks/cpu_suite.py --docs              also write docs/results/cpu_suite.{md,json,svg}

Every number comes from the side-by-side measurement at the end of a task's own run.
"""

from __future__ import annotations

import fnmatch
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

import kernelwright
from suites import (
    HEADINGS,
    HOW,
    ROOT,
    Row,
    Summary,
    cells,
    filled,
    load_state,
    page,
    run_all,
    save_state,
    sentence,
    summarise,
    table,
)
from suites import facts as suite_facts

TASKS = ROOT / "benchmarks" / "tasks"
STATE = ROOT / "build" / "cpu_suite.json"
DOCS = ROOT / "docs" / "results"
OUT = ROOT / "build" / "cpu_suite"
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


def measure(path: Path, budget: str) -> Row:
    """Optimises one task."""
    try:
        return filled(Row(path.stem, ""), kernelwright.optimize(path, budget=budget, out=OUT))
    except kernelwright.TaskError as error:
        return Row(path.stem, "error", problem=str(error))


def facts(budget: str) -> dict[str, Any]:
    """Where and with what the suite ran."""
    return suite_facts(f"python benchmarks/cpu_suite.py --budget {budget} --docs")


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
    parts = (sentence(summary), "![Speedup over eager PyTorch](cpu_suite.svg)", HOW)
    problems = "".join(f"\n- {row.task}: {row.problem}" for row in rows if row.problem)
    made = page("CPU suite", where, parts, HEADINGS, [cells(row) for row in rows])
    return f"{made}{problems}\n" if problems else made


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
    paths = {path.stem: path for path in sorted(TASKS.glob("*.py")) if fnmatch.fnmatch(path.stem, tasks)}
    if not paths:
        sys.exit(f"error: no task in {TASKS} matches {tasks!r}")
    rows = run_all(
        list(paths),
        load_state(STATE, budget, Row) if resume else {},
        lambda name: measure(paths[name], budget),
        lambda kept: save_state(STATE, budget, kept),
        cells,
    )
    where = facts(budget)
    if docs:
        write_docs(rows, where)
    if as_json:
        print(
            json.dumps({**where, "summary": asdict(summarise(rows)), "rows": [asdict(row) for row in rows]}, indent=2)
        )
        return
    output = Console() if sys.stdout.isatty() else Console(width=160)
    output.print(table(HEADINGS, [cells(row) for row in rows]))
    output.print(sentence(summarise(rows)), highlight=False)


if __name__ == "__main__":
    app()
