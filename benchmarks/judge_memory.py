"""How much memory judging takes, beside the tensors of the task itself.

    python benchmarks/judge_memory.py                  the catalogue's first kernel for every task in benchmarks/tasks
    python benchmarks/judge_memory.py --tasks 'rms*'

Memory is what the judge's process and everything it has started hold (PSS, shared pages counted once), sampled twenty
times a second, over what they hold when the judge has started and has not drawn or answered anything. `own` is one
call's inputs, state and outputs; `adds` is how many times that the judge holds beyond the candidate's own.
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import os
import statistics
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from first_kernel import TASKS, first_kernel, judging
from kernelwright.judge import memory

INTERVAL_S = 0.05
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class Row:
    """One task, in MB."""

    task: str
    own: float
    peak: float

    @property
    def adds(self) -> float:
        """Times the task's own tensors, beyond the candidate's."""
        return self.peak / self.own - 1


def held() -> int:
    """Bytes that this process and everything it has started hold now."""
    total = 0
    for pid in memory.descendants(os.getpid()):
        with suppress(OSError, ValueError, IndexError):  # it has ended
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


class Peak:
    """The most that is held while it is entered. Life cycle: `with Peak() as peak: ...`, then `peak.most`."""

    def __init__(self) -> None:
        self.most = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(INTERVAL_S):
            self.most = max(self.most, held())


async def measure(path: Path) -> Row | None:
    """Judges the catalogue's first candidate; None where it has none."""
    async with judging(path) as judge:
        before = held()
        with Peak() as peak:
            candidate = await first_kernel(judge)
            if candidate is None:
                return None
            await judge.evaluate(candidate)
        return Row(path.stem, judge.info.tune_case.bytes / 1e6, (peak.most - before) / 1e6)


@app.command()
def main(
    tasks: Annotated[str, typer.Option(metavar="GLOB", help="Names of tasks to run.")] = "*",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """How much memory judging takes, beside the tensors of the task itself."""
    rows = []
    for path in sorted(TASKS.glob("*.py")):
        if fnmatch.fnmatch(path.stem, tasks) and (made := asyncio.run(measure(path))) is not None:
            rows.append(made)
            typer.echo(f"{made.task}: {made.adds:.1f} x", err=True)
    if not rows:
        typer.echo(f"error: no task in {TASKS} is named {tasks}", err=True)
        raise typer.Exit(2)
    median = statistics.median(each.adds for each in rows)
    if as_json:
        print(json.dumps({"median": median, "rows": [asdict(each) | {"adds": each.adds} for each in rows]}, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for rank, heading in enumerate(("task", "own", "peak", "adds")):
        table.add_column(heading, justify="right" if rank else "left", header_style="dim")
    for each in rows:
        table.add_row(each.task, f"{each.own:.0f} MB", f"{each.peak:.0f} MB", f"{each.adds:.1f} x")
    Console().print(table)
    print(f"the judge adds {median:.1f} x the task's own tensors at the median")


if __name__ == "__main__":
    app()
