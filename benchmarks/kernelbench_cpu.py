"""Loads every file of a KernelBench checkout and says what each computes, or why it is refused.

    python benchmarks/kernelbench_cpu.py PATH --load-only [--json] [--jobs N]

PATH is a checkout, or its folder that holds level1 to level4. Nothing of the tasks' data is allocated.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from kernelwright.errors import TaskError
from kernelwright.tasks import Task, TaskInfo

TIMEOUT_S = 120
_HOST = """
import json, sys, time
from kernelwright.tasks import host
for line in sys.stdin:
    start = time.monotonic()
    try:
        answer = {"info": host.Reference(json.loads(line)).describe()}
    except host.HostError as error:
        answer = {"error": error.report()}
    print("ANSWER", json.dumps({**answer, "seconds": time.monotonic() - start}), flush=True)
"""
Row = dict[str, Any]


def files(path: Path) -> list[Path]:
    """The task files, in KernelBench's order of level and number."""
    root = path / "KernelBench" if (path / "KernelBench").is_dir() else path
    found = [file for level in sorted(root.glob("level[1-4]")) for file in level.glob("[0-9]*.py")]
    return sorted(found, key=lambda file: (file.parent.name, int(file.name.partition("_")[0])))


def load(chunk: list[Path]) -> Iterator[Row]:
    """Describes files in one process after another: a file that ends its process costs the others nothing."""
    rows = {file: {"file": f"{file.parent.name}/{file.name}", "outcome": "refused"} for file in chunk}
    tasks = {}
    for file, row in rows.items():
        try:
            tasks[file] = Task.load(file)
        except TaskError as error:
            row["reason"] = str(error)
    while tasks:
        answers = _describe(list(tasks.values()))
        for file, answer in zip(list(tasks), answers, strict=False):
            rows[file] |= _row(answer)
            del tasks[file]
        if tasks and len(answers) < len(tasks):
            file = next(iter(tasks))
            rows[file]["reason"] = "the process that loaded it ended or took too long"
            del tasks[file]
    yield from rows.values()


def _describe(tasks: list[Task]) -> list[dict[str, Any]]:
    text = "\n".join(task.source.model_dump_json() for task in tasks)
    command = [sys.executable, "-W", "ignore", "-c", _HOST]
    try:
        output = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=TIMEOUT_S * len(tasks), check=False
        ).stdout
    except subprocess.TimeoutExpired as expired:
        output = (expired.stdout or b"").decode()
    marked = [line.removeprefix("ANSWER ") for line in output.splitlines() if line.startswith("ANSWER ")]
    return [json.loads(line) for line in marked]


def _row(answer: dict[str, Any]) -> Row:
    seconds = round(answer["seconds"], 3)
    if error := answer.get("error"):
        where = f"line {error['line']}: " if error["line"] else ""
        return {"outcome": "refused", "reason": f"{where}{error['message']}; {error['remedy']}", "seconds": seconds}
    info = TaskInfo.model_validate(answer["info"])
    case = info.tune_case
    return {
        "outcome": "described",
        "inputs": [_argument(entry) for entry in case.model_dump()["inputs"]],
        "outputs": [_shape(entry) for entry in case.model_dump()["outputs"]],
        "flops": case.flops,
        "bytes": case.bytes,
        "state": len(info.state),
        "mutated": [entry.name for entry in info.state if entry.mutated],
        "seconds": seconds,
    }


def _argument(entry: dict[str, Any]) -> str:
    return _shape(entry["tensor"]) if entry["tensor"] else str(entry["value"])


def _shape(tensor: dict[str, Any]) -> str:
    return f"{tensor['dtype']}[{','.join(map(str, tensor['shape']))}]"


def show(rows: list[Row], seconds: float, console: Console) -> None:
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


def main(
    path: Annotated[Path, typer.Argument(help="A KernelBench checkout.")],
    load_only: Annotated[bool, typer.Option("--load-only", help="Describe the tasks; run nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list on stdout.")] = False,
    jobs: Annotated[int, typer.Option(help="Processes at a time.")] = 4,
) -> None:
    """Loads every file of a KernelBench checkout."""
    found = files(path)
    if not load_only or not found:
        raise typer.BadParameter("say --load-only" if found else f"{path} holds no level1 to level4 with task files")
    start = time.monotonic()
    # Files of one level are alike in cost: dealing them out keeps the jobs even.
    with ThreadPoolExecutor(jobs) as pool:
        chunks = pool.map(lambda chunk: list(load(chunk)), [found[index::jobs] for index in range(jobs)])
        loaded = [row for chunk in chunks for row in chunk]
    order = {f"{file.parent.name}/{file.name}": index for index, file in enumerate(found)}
    rows = sorted(loaded, key=lambda row: order[row["file"]])
    if as_json:
        print(json.dumps(rows))
    else:
        show(rows, time.monotonic() - start, Console(width=200))


if __name__ == "__main__":
    typer.run(main)
