"""What suites of searches share: one search a row, the table, what is kept while a suite is interrupted, the page."""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

import kernelwright
from kernelwright import format as fmt
from kernelwright import registry
from kernelwright.judge.verdict import Comparison

ROOT = Path(__file__).resolve().parent.parent
DEVICE_FACTS = ("model", "cores", "simd", "l2_bytes", "l3_bytes", "memory_bytes")


@dataclass(frozen=True)
class Row:
    """One task. Times in µs; `floor_share` is the floor's time over the best kernel's, `first_s` the second at
    which the first kernel was accepted; `memory_bound` whether moving the bytes is what the floor is; `problem` says
    why numbers are missing."""

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
    memory_bound: bool | None = None
    proposer: str = ""
    evaluated: int = 0
    seconds: float = 0.0
    first_s: float | None = None
    problem: str = ""


AnyRow = TypeVar("AnyRow", bound=Row)


@dataclass(frozen=True)
class Summary:
    """All tasks together: means are geometric, `median_floor_share` is over tasks with a kernel, `memory_bound_share`
    over those of them, `memory_bound` in number, whose floor is moving the bytes."""

    tasks: int
    accepted: int
    speedup: float | None
    over_compile: float | None
    median_floor_share: float | None
    memory_bound: int
    memory_bound_share: float | None


def filled(row: AnyRow, result: kernelwright.Result) -> AnyRow:
    """The row with what a search found."""
    nodes = result.view.nodes
    row = dataclasses.replace(
        row, outcome=result.outcome, run=result.run, evaluated=len(nodes), seconds=result.view.seconds
    )
    best, measured = result.view.best_node, result.comparison
    if best is None or measured is None:
        return row
    verdict = best.verdict
    return dataclasses.replace(
        timed(row, measured, best.candidate.id),
        memory_bound=verdict.traffic_us == verdict.floor_us if verdict.floor_us else None,
        proposer=best.candidate.proposer,
        first_s=next(node.at for node in nodes if node.verdict.accepted),
    )


def timed(row: AnyRow, measured: Comparison, name: str) -> AnyRow:
    """The row with how fast the kernel of that name is."""
    eager, compiled, own = (measured.row(each) for each in ("eager", "torch.compile", name))
    return dataclasses.replace(
        row,
        eager_us=eager.time_us if eager else None,
        compile_us=compiled.time_us if compiled else None,
        best_us=own.time_us if own else None,
        speedup=own.speedup if own else None,
        speedup_ci=own.speedup_ci if own else None,
        over_compile=own.speedup_over_compile if own else None,
        floor_share=own.floor_share if own else None,
        problem=measured.compile_problem,
    )


def summarise(rows: Sequence[Row]) -> Summary:
    """The means of all rows that have numbers."""

    def mean(values: list[float]) -> float | None:
        return statistics.geometric_mean(values) if values else None

    shares = [row.floor_share for row in rows if row.floor_share]
    bound = [row.floor_share for row in rows if row.floor_share and row.memory_bound]
    return Summary(
        tasks=len(rows),
        accepted=sum(row.speedup is not None for row in rows),
        speedup=mean([row.speedup for row in rows if row.speedup]),
        over_compile=mean([row.over_compile for row in rows if row.over_compile]),
        median_floor_share=statistics.median(shares) if shares else None,
        memory_bound=len(bound),
        memory_bound_share=statistics.median(bound) if bound else None,
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
    bound = f"; of the {summary.memory_bound} bound by memory {fmt.percent(summary.memory_bound_share)}"
    return (
        f"{summary.accepted} of {summary.tasks} tasks end with an accepted kernel. Geometric mean: "
        f"{fmt.speedup(summary.speedup)} over eager, {fmt.speedup(summary.over_compile)} over torch.compile. "
        f"Median share of the floor's speed: {fmt.percent(summary.median_floor_share)}"
        f"{bound if summary.memory_bound else ''}."
    )


def table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    """All rows for the terminal; names and outcomes on the left, numbers on the right."""
    made = Table(box=None, pad_edge=False)
    for rank, heading in enumerate(headings):
        made.add_column(heading, header_style="dim", justify="right" if 0 < rank < len(HEADINGS) - 1 else "left")
    for line in lines:
        made.add_row(*map(Text, line))
    return made


def facts(command: str) -> dict[str, Any]:
    """Where and with what a suite ran."""
    device = registry.load("targets", "cpu")().info().model_dump()
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "command": command,
        "device": {**{name: device[name] for name in DEVICE_FACTS}, "huge_pages": huge_pages()},
        "versions": {name: version(name) for name in ("kernelwright", "torch", "apache-tvm-ffi")},
    }


def huge_pages() -> str:
    """For what the system takes huge pages (`always`, `madvise`, `never`): new tensors take longer without."""
    try:
        text = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    except OSError:
        return "unknown"
    return text.partition("[")[2].partition("]")[0]


def load_state(path: Path, budget: str, row: type[AnyRow]) -> dict[str, AnyRow]:
    """Rows of an earlier, interrupted suite with the same budget."""
    if not path.exists():
        return {}
    state = json.loads(path.read_text())
    return {kept["task"]: row(**kept) for kept in state["rows"]} if state["budget"] == budget else {}


def save_state(path: Path, budget: str, rows: Sequence[Row]) -> None:
    """Keeps what is measured, so that an interrupted suite loses at most the task that was running."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"budget": budget, "rows": [asdict(row) for row in rows]}))
    temporary.replace(path)


def run_all(
    names: Sequence[str],
    done: dict[str, AnyRow],
    measure: Callable[[str], AnyRow],
    keep: Callable[[Sequence[AnyRow]], None],
    text: Callable[[AnyRow], Sequence[str]],
) -> list[AnyRow]:
    """Measures what is not done yet, one after the other; Ctrl-C ends the process with status 130, and what is done is
    kept."""
    progress = Console(stderr=True, highlight=False)
    for number, name in enumerate(names, start=1):
        if name in done:
            continue
        progress.print(f"[{number}/{len(names)}] {name} …", markup=False)
        try:
            done[name] = row = measure(name)
        except KeyboardInterrupt:
            progress.print(f"interrupted; {len(done)} tasks are kept, go on with --resume")
            sys.exit(130)
        except kernelwright.KernelwrightError as error:
            progress.print(f"error: {error}", markup=False)
            sys.exit(error.exit_code)
        keep(list(done.values()))
        progress.print("      " + "  ".join(text(row)[1:]) + (f"  {row.problem}" if row.problem else ""), markup=False)
    return [done[name] for name in names]


def page(
    title: str, where: dict[str, Any], parts: Sequence[str], headings: Sequence[str], lines: Sequence[Sequence[str]]
) -> str:
    """A page of the documentation: how it was made, some paragraphs, and the table."""
    device = where["device"]
    machine = (
        f"{device['model']}, {device['cores']} cores, {device['simd']}, L2 {fmt.size(device['l2_bytes'])}, L3 "
        f"{fmt.size(device['l3_bytes'])}, huge pages: {device['huge_pages']}. "
        + ", ".join(f"{name} {text}" for name, text in where["versions"].items())
        + "."
    )
    numbers = len(HEADINGS) - 2
    body = [
        f"# {title}",
        f"Made by `{where['command']}` on {where['date']}. Do not edit.",
        *parts[:-1],
        machine,
        parts[-1],
        "\n".join([
            "| " + " | ".join(headings) + " |",
            "| --- |" + " ---: |" * numbers + " --- |" * (len(headings) - numbers - 1),
            *("| " + " | ".join(line) + " |" for line in lines),
        ]),
    ]  # fmt: skip
    return "\n\n".join(body) + "\n"


HOW = (
    "Times are of one forward call, measured in turn in separate processes at the end of each run; speedups are "
    "medians of paired ratios with their 95 % confidence interval. The floor is what moving the bytes and the "
    "arithmetic take at least, measured in turn with them."
)
"""What a page says about its numbers."""
