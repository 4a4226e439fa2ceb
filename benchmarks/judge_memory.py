"""How much memory judging takes, beside the tensors of the task itself.

    python benchmarks/judge_memory.py                  the catalogue's first kernel for every task in benchmarks/tasks
    python benchmarks/judge_memory.py --tasks 'rms*'

Memory is what the judge's process and everything it has started hold and the system cannot take back (PSS of anonymous
and shared memory, shared pages counted once), sampled twenty times a second, over what they hold when the judge has
started and has not drawn or answered anything. `own` is one call's inputs, state and outputs; `adds` is how many times
that is held beyond the candidate's own; `judge` is the most that the judge's own process holds: the rest is the
reference (in float64, and for timing) and the candidate. `disk` is the most that lies in files.
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import os
import statistics
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
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
    judge: float
    disk: float

    @property
    def adds(self) -> float:
        """Times the task's own tensors, beyond the candidate's."""
        return self.peak / self.own - 1


def held(pid: int) -> int:
    """Bytes of a process that the system cannot take back now."""
    with suppress(OSError, ValueError, IndexError):  # it has ended
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
    return 0


def in_files() -> int:
    """Bytes of files without a name that this process has mapped."""
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith("(deleted)")]
    spans = [(int(end, 16) - int(start, 16)) for start, _, end in (line[0].partition("-") for line in lines)]
    return sum(spans)


@dataclass(frozen=True)
class Sample:
    """Bytes held by everything, by the judge's own process, and in its files."""

    total: int
    judge: int
    disk: int

    @classmethod
    def now(cls) -> Sample:
        """Looks."""
        own = held(os.getpid())
        others = sum(held(pid) for pid in memory.descendants(os.getpid()) if pid != os.getpid())
        return cls(own + others, own, in_files())


class Peak:
    """The moment at which most is held. Life cycle: `with Peak() as peak: ...`, then `peak.most`."""

    def __init__(self) -> None:
        self.most = Sample(0, 0, 0)
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
            now = Sample.now()
            most = max(self.most, now, key=lambda sample: sample.total)
            self.most = replace(most, judge=max(self.most.judge, now.judge), disk=max(self.most.disk, now.disk))


async def measure(path: Path) -> Row | None:
    """Judges the catalogue's first candidate; None where it has none."""
    async with judging(path) as judge:
        before = Sample.now()
        with Peak() as peak:
            candidate = await first_kernel(judge)
            if candidate is None:
                return None
            await judge.evaluate(candidate)
        most, own = peak.most, judge.info.tune_case.bytes
        peaks = (most.total - before.total, most.judge - before.judge, most.disk - before.disk)
        return Row(path.stem, own / 1e6, *(size / 1e6 for size in peaks))


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
    for rank, heading in enumerate(("task", "own", "peak", "judge", "disk", "adds")):
        table.add_column(heading, justify="right" if rank else "left", header_style="dim")
    for each in rows:
        sizes = [f"{size:.0f} MB" for size in (each.own, each.peak, each.judge, each.disk)]
        table.add_row(each.task, *sizes, f"{each.adds:.1f} x")
    Console().print(table)
    judge = statistics.median(each.judge / each.own for each in rows)
    print(
        f"judging adds {median:.1f} x the task's own tensors at the median; the judge's own process holds {judge:.1f} x"
    )


if __name__ == "__main__":
    app()
