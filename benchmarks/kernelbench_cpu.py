"""Optimises every file of a KernelBench checkout without a model, and reports how much faster each became.

    python benchmarks/kernelbench_cpu.py PATH                  levels 1 and 2, 60 s each
    python benchmarks/kernelbench_cpu.py PATH --only '*/4?_*'  some of them, by level and file name
    python benchmarks/kernelbench_cpu.py PATH --resume         go on where Ctrl-C ended it
    python benchmarks/kernelbench_cpu.py PATH --docs           also write docs/results/kernelbench_cpu.{md,json};
                                                               with --levels 3, kernelbench_cpu_3.{md,json}
    python benchmarks/kernelbench_cpu.py PATH --load-only      describe the files; run nothing

PATH is a checkout, or its folder that holds level1 to level4. A file whose forward takes longer than 2 s or 0.5 % of
the budget (four times its floor, then as it is measured), whose tensors would take 15 % of the budget to judge (50 ns a
byte), or more memory than there is, is shrunk first (`shrink.py`); the row says how.
Task files run in sandboxed processes only. Every number comes from the side-by-side measurement at the end of a run.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import kernelwright
import shrink
import suites
from kernelwright import choices, registry
from kernelwright import format as fmt
from kernelwright.errors import TaskError
from kernelwright.home import home
from kernelwright.judge.reference import COPIES, FORWARD_TIMEOUT, ReferenceSide, new_seeds
from kernelwright.judge.sandbox import Confinement, visible_folders
from kernelwright.judge.zygote_part import ZygotePart
from kernelwright.targets.base import Target
from kernelwright.tasks import Task, TaskInfo

Described = dict[str, Any]
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
STATE = suites.ROOT / "build" / "kernelbench_cpu.json"
OUT = suites.ROOT / "build" / "kernelbench_cpu"
DOCS = suites.ROOT / "docs" / "results"
PAGE, LEVELS = "kernelbench_cpu", "1,2"
LONGEST_S, FORWARDS_SHARE, EAGER = 2.0, 0.005, 4.0
"""A forward's longest time, also as a share of the budget (judging takes dozens of forwards), and how many times the
floor an eager forward is taken to last before it is run."""
JUDGED_S_A_BYTE, JUDGED_SHARE = 50e-9, 0.15
"""What drawing, answering and comparing a byte of the inputs and outputs takes (2 cores), and how much of the budget
that may be."""
NO_INFLUENCE = "its outputs hardly depend on its inputs"
UNFAIR = dict.fromkeys(["level2/23", "level2/80", "level2/83"], "zeros pass for its answer") | dict.fromkeys(
    [f"level3/{number}" for number in (7, 11, 12, 18, 28, 35)], NO_INFLUENCE
)
"""Files that are known to be no fair test whatever the sizes."""


@dataclass(frozen=True)
class Row(suites.Row):
    """One file. `coverage` is the share of the time that own kernels take; `library` what stayed in the library beside
    them; `shrunk` what was made smaller; `unfair` why it is no fair test; `rejected` why candidates were."""

    coverage: float | None = None
    library: tuple[str, ...] = ()
    shrunk: str = ""
    unfair: str = ""
    rejected: tuple[str, ...] = ()


def files(path: Path) -> list[Path]:
    """The task files, in KernelBench's order of level and number."""
    root = path / "KernelBench" if (path / "KernelBench").is_dir() else path
    found = [file for level in sorted(root.glob("level[1-4]")) for file in level.glob("[0-9]*.py")]
    return sorted(found, key=lambda file: (file.parent.name, int(file.name.partition("_")[0])))


@contextmanager
def reference(zygote: ZygotePart, task: Task) -> Iterator[ReferenceSide]:
    """A task, loaded in a sandboxed process of its own. Raises `TaskError`."""
    confinement = Confinement(hidden=(str(home()),), visible=visible_folders(), memory=64 << 30)
    side = ReferenceSide(task, lambda: zygote.fork(confinement), new_seeds(0))
    try:
        side.load()
        yield side
    finally:
        side.worker.close()


def describe(zygote: ZygotePart, task: Task) -> TaskInfo:
    """What a task computes. Raises `TaskError`."""
    with reference(zygote, task) as side:
        return side.info


def load(zygote: ZygotePart, file: Path) -> Described:
    """Describes a file in a sandboxed process of its own, as `kernelwright task show` does."""
    row: Described = {"file": f"{file.parent.name}/{file.name}", "outcome": "refused"}
    start = time.monotonic()
    try:
        info = describe(zygote, Task.load(file))
    except TaskError as error:
        return row | {"reason": str(error).removeprefix(f"{file}: ").replace(f"{file}:", "line ", 1)}
    return row | _described(info) | {"seconds": round(time.monotonic() - start, 3)}


def _described(info: TaskInfo) -> Described:
    case = info.tune_case
    return {
        "outcome": "described",
        "inputs": [_argument(entry) for entry in case.model_dump()["inputs"]],
        "outputs": [_shape(entry) for entry in case.model_dump()["outputs"]],
        "flops": case.flops,
        "bytes": case.bytes,
        "state": len(info.state),
        "mutated": [entry.name for entry in info.state if entry.mutated],
    }


def _argument(entry: dict[str, Any]) -> str:
    return _shape(entry["tensor"]) if entry["tensor"] else str(entry["value"])


def _shape(tensor: dict[str, Any]) -> str:
    return f"{tensor['dtype']}[{','.join(map(str, tensor['shape']))}]"


def show(rows: list[Described], seconds: float, console: Console) -> None:
    """The table, then one line of summary and one for each reason."""
    table = Table("file", "outcome", "inputs", "outputs", "GFLOP", "MB", "s")
    for row in rows:
        if row["outcome"] == "described":
            shapes = " ".join(row["inputs"]), " ".join(row["outputs"])
            sizes = f"{row['flops'] / 1e9:,.2f}", f"{row['bytes'] / 1e6:,.1f}", f"{row['seconds']:.1f}"
            table.add_row(row["file"], "described", *shapes, *sizes)
        else:
            table.add_row(row["file"], f"refused: {row['reason']}", "", "", "", "", "")
    console.print(table)
    refused = Counter(row["reason"] for row in rows if row["outcome"] == "refused")
    console.print(f"{len(rows) - refused.total()} of {len(rows)} described, {refused.total()} refused, {seconds:.0f} s")
    for reason, count in refused.most_common():
        console.print(f"  {count} refused: {reason}")


def asked(zygote: ZygotePart, file: Path, text: str, ask: Callable[[ReferenceSide], float]) -> float | None:
    """What is found of a file with this text; None where it does not load."""
    try:
        task = Task.load(file)
        with reference(
            zygote, task.model_copy(update={"source": task.source.model_copy(update={"text": text})})
        ) as side:
            return ask(side)
    except TaskError:
        return None


def measure(zygote: ZygotePart, file: Path, budget: str) -> Row:
    """Shrinks one file if need be, and optimises it. Whatever goes wrong with it is its row's problem."""
    row = Row(name_of(file), "error", unfair=UNFAIR.get(name_of(file).partition("_")[0], ""))
    try:
        seconds = choices.parse_budget(budget)
        text, changes = shrink.shrunk(
            file.read_text(),
            lambda text: asked(zygote, file, text, lambda side: estimate(side, seconds)),
            lambda text: asked(zygote, file, text, lambda side: forward_s(side) / longest_s(seconds)),
        )
        path = OUT / "tasks" / file.parent.name / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        result = kernelwright.optimize(path, budget=budget, out=OUT / file.parent.name)
    except Exception as error:  # noqa: BLE001 - one file must not end the suite
        return dataclasses.replace(row, problem=f"{type(error).__name__}: {error}".partition("\n")[0])
    return _told(dataclasses.replace(row, shrunk=changes), result)


def _told(row: Row, result: kernelwright.Result) -> Row:
    rejected = [node.verdict for node in result.view.nodes if not node.verdict.accepted]
    problems = [] if result.view.fairness.fair else [problem.reason for problem in result.view.fairness.problems]
    verdict = result.verdict
    return dataclasses.replace(
        suites.filled(row, result),
        coverage=verdict.coverage if verdict else None,
        library=verdict.library_calls if verdict else (),
        unfair="; ".join([row.unfair, *problems] if row.unfair else problems),
        rejected=tuple(dict.fromkeys(f"{each.reason}: {each.message}".partition("\n")[0] for each in rejected)),
    )


@functools.cache
def machine() -> Target:
    """The CPU, whose ceilings are measured once at most."""
    target: Target = registry.load("targets", "cpu")()
    return target


def estimate(side: ReferenceSide, seconds: float) -> float:
    """How many times too large a task is for a budget of so many seconds, by its sizes."""
    target, case = machine(), side.info.tune_case
    forward = 1e-6 * EAGER * target.floor_us(case) / longest_s(seconds)
    judging = JUDGED_S_A_BYTE * (case.bytes - case.state_bytes) / (JUDGED_SHARE * seconds)
    return max(forward, judging, COPIES * case.bytes / (target.info().memory_bytes / 2))


def longest_s(seconds: float) -> float:
    """How long a forward may take, for a budget of so many seconds."""
    return min(LONGEST_S, FORWARDS_SHARE * seconds)


def forward_s(side: ReferenceSide) -> float:
    """Seconds of the reference's forward with a copy of its arguments, the quicker of two; infinite where it fails."""
    case, took = side.info.tune_case, []
    try:
        side.construct(case)
        side.bind(side.inputs(case))
        for _ in range(2):
            start = time.monotonic()
            side.call("answer", FORWARD_TIMEOUT, slot=0, exact=False)
            took.append(time.monotonic() - start)
    except TaskError:
        return math.inf
    return min(took)


def name_of(file: Path) -> str:
    """`level1/19_ReLU`."""
    return f"{file.parent.name}/{file.stem}"


HEADINGS = (*suites.HEADINGS, "first", "own", "in the library", "shrunk", "unfair")


def cells(row: Row) -> tuple[str, ...]:
    """A row as text, in the order of HEADINGS."""
    first = "" if row.first_s is None else f"{row.first_s:.1f} s"
    library = ", ".join(row.library)
    return (*suites.cells(row), first, fmt.percent(row.coverage), library, row.shrunk, row.unfair)


def sentence(rows: Sequence[Row]) -> str:
    """All rows in words; unfair tasks are not counted."""
    fair = [row for row in rows if not row.unfair]
    faster = sum(row.outcome == "faster" for row in fair)
    firsts = sorted(row.first_s for row in fair if row.first_s is not None)
    first = f" First accepted kernel after {firsts[len(firsts) // 2]:.1f} s at the median." if firsts else ""
    left_out = f" {len(rows) - len(fair)} unfair tasks are not counted." if len(fair) < len(rows) else ""
    return f"{suites.sentence(suites.summarise(fair))} {faster} are faster than eager.{first}{left_out}"


def markdown(rows: Sequence[Row], where: dict[str, Any]) -> str:
    """The table as a page of the documentation."""
    shrinking = (
        "A file whose forward takes longer than 2 s or 0.5 % of the budget (by four times its floor, and then as it is "
        "measured), whose tensors would take 15 % of the budget to judge, or more memory than there is, was shrunk: "
        "integers that the module assigns and `get_inputs` uses were halved, first the batch as often as it took, then "
        "the largest one, until it fitted. "
        "`own` is the share of the best kernel's time in its own kernels, `first` when the first kernel was accepted."
    )
    made = suites.page(
        "KernelBench on the CPU", where, (sentence(rows), shrinking, suites.HOW), HEADINGS, [cells(row) for row in rows]
    )
    notes = [f"- {row.task}: {row.problem or '; '.join(row.rejected)}" for row in rows if row.problem or row.rejected]
    return "\n".join([made, "Problems, and why candidates were rejected:", "", *notes, ""]) if notes else made


def search(zygote: ZygotePart, found: Sequence[Path], budget: str, *, resume: bool) -> list[Row]:
    """A row for each file, in order."""
    paths = {name_of(file): file for file in found}
    sizes = (LONGEST_S, FORWARDS_SHARE, EAGER, JUDGED_S_A_BYTE, JUDGED_SHARE, "measured")
    rule = ", ".join(map(str, (budget, *sizes)))  # rows of other sizes are no part of it
    return suites.run_all(
        list(paths),
        suites.load_state(STATE, rule, Row) if resume else {},
        lambda name: measure(zygote, paths[name], budget),
        lambda kept: suites.save_state(STATE, rule, kept),
        cells,
    )


def report(rows: Sequence[Row], where: dict[str, Any], levels: str, *, docs: bool, as_json: bool) -> None:
    """Prints the rows, and writes their page of docs/results."""
    data = {**where, "summary": asdict(suites.summarise(rows)), "rows": [asdict(row) for row in rows]}
    if docs:
        DOCS.mkdir(parents=True, exist_ok=True)
        page = PAGE if levels == LEVELS else f"{PAGE}_{levels.replace(',', '_')}"
        (DOCS / f"{page}.json").write_text(json.dumps(data, indent=2) + "\n")
        (DOCS / f"{page}.md").write_text(markdown(rows, where))
    if as_json:
        print(json.dumps(data, indent=2))
        return
    output = Console() if sys.stdout.isatty() else Console(width=240)
    output.print(suites.table(HEADINGS, [cells(row) for row in rows]))
    output.print(sentence(rows), highlight=False)


def load_all(zygote: ZygotePart, found: Sequence[Path], jobs: int, *, as_json: bool) -> None:
    """Describes the files and prints what each is."""
    start = time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        rows = list(pool.map(lambda file: load(zygote, file), found))
    if as_json:
        print(json.dumps(rows))
    else:
        show(rows, time.monotonic() - start, Console(width=200))


def facts(path: Path, budget: str, levels: str) -> dict[str, Any]:
    """Where and with what the suite ran."""
    return suites.facts(f"python benchmarks/kernelbench_cpu.py {path.name} --levels {levels} --budget {budget} --docs")


@app.command()
def main(
    path: Annotated[Path, typer.Argument(help="A KernelBench checkout.")],
    load_only: Annotated[bool, typer.Option("--load-only", help="Describe the tasks; run nothing.")] = False,
    levels: Annotated[str, typer.Option(help="Levels to run, such as 1,2.")] = "",
    only: Annotated[str, typer.Option(metavar="GLOB", help="Files to run, as level1/19_ReLU.")] = "*",
    budget: Annotated[str, typer.Option(help="Time for each file.")] = "60s",
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip files that the last, interrupted suite has done.")
    ] = False,
    docs: Annotated[bool, typer.Option("--docs", help="Write the table to docs/results.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
    jobs: Annotated[int, typer.Option(help="Processes at a time, for --load-only.")] = 4,
) -> None:
    """Optimises every file of a KernelBench checkout, or describes it."""
    numbers = (levels or ("1,2,3,4" if load_only else LEVELS)).split(",")
    levels = ",".join(sorted(number.strip() for number in numbers))
    wanted = {f"level{number.strip()}" for number in numbers}
    found = [file for file in files(path) if file.parent.name in wanted and fnmatch.fnmatch(name_of(file), only)]
    if not found:
        raise typer.BadParameter(f"{path} holds no task files of levels {levels} that match {only!r}")
    zygote = ZygotePart()
    try:
        zygote.start()
        if load_only:
            load_all(zygote, found, jobs, as_json=as_json)
            return
        rows = search(zygote, found, budget, resume=resume)
    finally:
        zygote.close()
        zygote.release()
    report(rows, facts(path, budget, levels), levels, docs=docs, as_json=as_json)


if __name__ == "__main__":
    app()
