"""How many honest candidates a minute the judge judges, every stage included.

    python benchmarks/judge_throughput.py                          the honest corpus: with building, then already built
    python benchmarks/judge_throughput.py --tasks 'softmax' --repeats 3
    python benchmarks/judge_throughput.py --target cuda            tests/gpu's honest Triton, 24 copies of each

All candidates of a task are handed to one judge at once, as in a search: the verdict of the first is there to beat.
`floor` is what the same work takes at least: timing, which has the machine for itself, and everything else spread over
all cores. `cores` is how many were busy on average.
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from kernelwright import registry
from kernelwright.judge.judge import Judge
from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Candidate
from kernelwright.tasks import Task

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS / "honest"), str(TESTS / "gpu")]
LANGUAGES = {"cpu": "cpp", "cuda": "triton"}
COPIES = 24
"""So many that the first one's way through the stages is little of the whole."""
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class Row:
    """One task in one of the two ways. `seconds` is from the first candidate's start to the last one's verdict, with
    the judge already started; `build`, `checks` and `timing` are sums over the candidates."""

    task: str
    built: bool
    candidates: int
    accepted: int
    seconds: float
    build: float
    checks: float
    timing: float
    busy_cores: float

    @property
    def floor(self) -> float:
        """Seconds that the same work takes at least."""
        return self.timing + (self.build + self.checks) / _cores()


def _cores() -> int:
    return int(registry.load("targets", "cpu")().info().cores)


def candidates(target: str) -> dict[Path, list[str]]:
    """Honest sources by task."""
    if target == "cuda":
        import gpu_corpus

        return {entry.task: [entry.source] * COPIES for entry in gpu_corpus.entries("honest", LANGUAGES[target])}
    import honest_corpus

    found: dict[Path, list[str]] = defaultdict(list)
    for each in honest_corpus.corpus():
        found[each.task_path].append(each.source)
    return found


def _busy() -> float:
    """Seconds of the machine's processors in use since it started."""
    fields = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    idle = fields[3] + fields[4]
    return (sum(fields[:8]) - idle) / os.sysconf("SC_CLK_TCK")


async def judge_all(path: Path, sources: Sequence[str], built: bool, target: str) -> Row:
    """One judge, all candidates at once."""
    language = LANGUAGES[target]
    async with Judge(Task.load(path), registry.load("targets", target)(), language=language) as judge:
        warm = f"{sources[0]}\n# warm {time.monotonic_ns()}\n"
        best = await judge.evaluate(Candidate(source=warm, language=language))  # answers and inputs: once a task
        busy, start = _busy(), time.monotonic()
        verdicts = await asyncio.gather(
            *(judge.evaluate(Candidate(source=source, language=language), best=best, brief=True) for source in sources)
        )
        seconds = time.monotonic() - start
        return row(path.stem, built, verdicts, seconds, (_busy() - busy) / seconds)


def row(task: str, built: bool, verdicts: Sequence[Verdict], seconds: float, busy: float) -> Row:
    """The sums."""
    spent: dict[str, float] = defaultdict(float)
    for verdict in verdicts:
        for stage in verdict.stages:
            spent[stage.name if stage.name in ("build", "time") else "checks"] += stage.seconds
    return Row(
        task=task,
        built=built,
        candidates=len(verdicts),
        accepted=sum(verdict.accepted for verdict in verdicts),
        seconds=seconds,
        build=spent["build"],
        checks=spent["checks"],
        timing=spent["time"],
        busy_cores=busy,
    )


def measure(target: str, tasks: str, repeats: int) -> list[Row]:
    """Each task with building, then already built."""
    rows = []
    for path, found in sorted(candidates(target).items()):
        if not fnmatch.fnmatch(path.stem, tasks):
            continue
        for _ in range(repeats):
            sources = [f"{source}\n# {time.monotonic_ns()}\n" for source in found]
            for built in (False, True):
                rows.append(asyncio.run(judge_all(path, sources, built, target)))
                last = rows[-1]
                typer.echo(f"{last.task}: {last.candidates} in {last.seconds:.1f} s, built: {built}", err=True)
    return rows


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Over all tasks."""
    seconds, candidates = sum(each.seconds for each in rows), sum(each.candidates for each in rows)
    return {
        "candidates": candidates,
        "accepted": sum(each.accepted for each in rows),
        "a_minute": 60 * candidates / seconds,
        "share_of_floor_speed": sum(each.floor for each in rows) / seconds,
        "busy_cores": sum(each.busy_cores * each.seconds for each in rows) / seconds,
    }


@app.command()
def main(
    target: Annotated[str, typer.Option(metavar="NAME", help="cpu or cuda.")] = "cpu",
    tasks: Annotated[str, typer.Option(metavar="GLOB", help="Names of tasks to run.")] = "*",
    repeats: Annotated[int, typer.Option(min=1, help="Times to run everything.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """How many honest candidates a minute the judge judges."""
    if target not in LANGUAGES:
        typer.echo(f"error: there is no corpus for the target {target}; there are {', '.join(LANGUAGES)}", err=True)
        raise typer.Exit(2)
    rows = measure(target, tasks, repeats)
    if not rows:
        typer.echo(f"error: no task of the corpus is named {tasks}", err=True)
        raise typer.Exit(2)
    totals = {name: summary([each for each in rows if each.built is built]) for name, built in
              (("with building", False), ("already built", True))}  # fmt: skip
    if as_json:
        print(json.dumps({"cores": _cores(), **totals, "rows": [asdict(each) for each in rows]}, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    headings = ("task", "", "candidates", "a minute", "seconds", "floor", "build", "checks", "timing", "cores")
    for rank, heading in enumerate(headings):
        table.add_column(heading, justify="right" if rank > 1 else "left", header_style="dim")
    for each in rows:
        seconds = (f"{s:.1f}" for s in (each.seconds, each.floor, each.build, each.checks, each.timing))
        count, rate = f"{each.accepted}/{each.candidates}", f"{60 * each.candidates / each.seconds:.0f}"
        table.add_row(each.task, "built" if each.built else "", count, rate, *seconds, f"{each.busy_cores:.1f}")
    Console().print(table)
    for name, total in totals.items():
        print(
            f"{name}: {total['a_minute']:.0f} a minute, {total['share_of_floor_speed']:.0%} of the floor's speed, "
            f"{total['busy_cores']:.1f} of {_cores()} cores busy, "
            f"{total['accepted']:.0f} of {total['candidates']:.0f} accepted"
        )


if __name__ == "__main__":
    app()
