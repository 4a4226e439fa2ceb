"""What judging one honest candidate costs, its own build and its timed runs not counted.

    python benchmarks/judge_cost.py                     the catalogue's first kernel for every task in benchmarks/tasks
    python benchmarks/judge_cost.py --tasks 'rms*' --repeats 5

`checks` is the time of the stages run, compare, hold_out and audit; `timing` the time stage, of which `in calls` was
spent inside the timed calls of the reference and the candidate and the rest on fresh inputs and on checking outputs.
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from first_kernel import TASKS, first_kernel, judging
from kernelwright.judge.verdict import Verdict

CHECKS = ("run", "compare", "hold_out", "audit")
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class Row:
    """Seconds for one task, medians over the repeats; `megabytes` is the least traffic of one call."""

    task: str
    outcome: str
    megabytes: float
    build: float
    checks: float
    timing: float
    in_calls: float


async def measure(path: Path, repeats: int) -> Row | None:
    """Judges the catalogue's first candidate `repeats` times; None where it has none."""
    async with judging(path) as judge:
        candidate = await first_kernel(judge)
        if candidate is None:
            return None
        await judge.evaluate(candidate)  # what is done once a task: the reference's answers, the pool of inputs
        again = [candidate.model_copy(update={"source": f"{candidate.source}\n# {n}\n"}) for n in range(repeats)]
        return row(path.stem, judge.info.tune_case.bytes, [await judge.evaluate(each) for each in again])


def row(task: str, size: int, verdicts: list[Verdict]) -> Row:
    """The medians."""
    stages = [{stage.name: stage.seconds for stage in verdict.stages} for verdict in verdicts]
    calls = [
        sum(1e-6 * each.pairs * each.calls * (each.time_us + each.reference_us) for each in verdict.timings)
        for verdict in verdicts
    ]
    return Row(
        task=task,
        outcome=", ".join(sorted({verdict.reason or verdict.outcome for verdict in verdicts})),
        megabytes=size / 1e6,
        build=statistics.median(each["build"] for each in stages),
        checks=statistics.median(sum(each[name] for name in CHECKS) for each in stages),
        timing=statistics.median(each["time"] for each in stages),
        in_calls=statistics.median(calls),
    )


@app.command()
def main(
    tasks: Annotated[str, typer.Option(metavar="GLOB", help="Names of tasks to run.")] = "*",
    repeats: Annotated[int, typer.Option(min=1, help="Candidates for each task.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """What judging one honest candidate costs, its own build and its timed runs not counted."""
    rows = []
    for path in sorted(TASKS.glob("*.py")):
        if fnmatch.fnmatch(path.stem, tasks) and (made := asyncio.run(measure(path, repeats))) is not None:
            rows.append(made)
            typer.echo(f"{made.task}: {made.outcome}, {made.checks:.2f} s", err=True)
    if not rows:
        typer.echo(f"error: no task in {TASKS} is named {tasks}", err=True)
        raise typer.Exit(2)
    median, worst = statistics.median(each.checks for each in rows), max(rows, key=lambda each: each.checks)
    if as_json:
        print(
            json.dumps({"median_s": median, "worst_s": worst.checks, "rows": [asdict(each) for each in rows]}, indent=2)
        )
        return
    table = Table(box=None, pad_edge=False)
    for rank, heading in enumerate(("task", "MB a call", "build", "checks", "timing", "in calls", "outcome")):
        table.add_column(heading, justify="right" if 0 < rank < 6 else "left", header_style="dim")
    for each in rows:
        seconds = (f"{value:.2f} s" for value in (each.build, each.checks, each.timing, each.in_calls))
        table.add_row(each.task, f"{each.megabytes:.0f}", *seconds, each.outcome)
    Console().print(table)
    print(f"checks: median {median:.2f} s, at most {worst.checks:.2f} s ({worst.task})")


if __name__ == "__main__":
    app()
