"""Loads every file of a KernelBench checkout and says what each computes, or why it is refused.

    python benchmarks/kernelbench_cpu.py PATH --load-only [--json] [--jobs N]

PATH is a checkout, or its folder that holds level1 to level4. Each file runs in a sandboxed process of its own; nothing
of the tasks' data is allocated.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from kernelwright.errors import TaskError
from kernelwright.home import home
from kernelwright.judge.nursery import Zygote
from kernelwright.judge.reference import ReferenceSide, new_seeds
from kernelwright.judge.sandbox import Confinement, visible_folders
from kernelwright.tasks import Task, TaskInfo

Row = dict[str, Any]


def files(path: Path) -> list[Path]:
    """The task files, in KernelBench's order of level and number."""
    root = path / "KernelBench" if (path / "KernelBench").is_dir() else path
    found = [file for level in sorted(root.glob("level[1-4]")) for file in level.glob("[0-9]*.py")]
    return sorted(found, key=lambda file: (file.parent.name, int(file.name.partition("_")[0])))


def load(zygote: Zygote, file: Path) -> Row:
    """Describes a file in a sandboxed process of its own, as `kernelwright task show` does."""
    row: Row = {"file": f"{file.parent.name}/{file.name}", "outcome": "refused"}
    start = time.monotonic()
    try:
        task = Task.load(file)
        confinement = Confinement(hidden=(str(home()),), visible=visible_folders(), memory=64 << 30)
        side = ReferenceSide(task, lambda: zygote.fork(confinement), new_seeds(0))
        try:
            info = side.load()
        finally:
            side.worker.close()
    except TaskError as error:
        return row | {"reason": str(error).removeprefix(f"{file}: ").replace(f"{file}:", "line ", 1)}
    return row | _described(info) | {"seconds": round(time.monotonic() - start, 3)}


def _described(info: TaskInfo) -> Row:
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
    zygote = Zygote()
    try:
        zygote.start()
        with ThreadPoolExecutor(jobs) as pool:
            rows = list(pool.map(lambda file: load(zygote, file), found))
    finally:
        zygote.close()
    if as_json:
        print(json.dumps(rows))
    else:
        show(rows, time.monotonic() - start, Console(width=200))


if __name__ == "__main__":
    typer.run(main)
