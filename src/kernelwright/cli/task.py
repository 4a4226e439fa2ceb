"""`kernelwright task`: what a task computes, and a new one from words."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kernelwright import paths
from kernelwright.cli.options import AskedModels, InputOption, JsonOption, TargetOption, TaskArgument
from kernelwright.cli.output import plain, print_json, stdout_reserved
from kernelwright.cli.output import show as put
from kernelwright.errors import EXIT_NEGATIVE, EXIT_OK, MachineError, UsageError

if TYPE_CHECKING:
    from kernelwright.drafting import Draft


def show(
    task: TaskArgument, *, target: TargetOption = "cpu", inputs: InputOption = None, json: JsonOption = False
) -> None:
    """Show what a task computes: shapes, dtypes, FLOPs, bytes, floor; and whether it is a fair test."""
    from kernelwright import api
    from kernelwright.report import tables

    with stdout_reserved():
        description = api.describe(api.load_task(task, inputs=inputs or ()), target=target)
    if json:
        print_json(description.to_json())
    else:
        put(tables.task(description.task.name, description.info, description.fairness, description.floors_us))


def new(
    words: Annotated[list[str], typer.Argument(metavar="WORDS...", help="What it is to compute.", show_default=False)],
    models: AskedModels,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="The file to write.", dir_okay=False, show_default="from the words"
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write it without asking, if it is a fair test.")] = False,
    target: TargetOption = "cpu",
    json: JsonOption = False,
) -> int:
    """Have a language model write a task; it is checked and shown, and written if you say so."""
    from kernelwright import api
    from kernelwright.drafting import file_name

    said = " ".join(words)
    if not said.strip():
        raise UsageError("no words say what it is to compute", remedy='write e.g. "softmax of rows of 4096"')
    file = out or Path(f"{file_name(said)}.py")
    _check(file, yes=yes)
    with stdout_reserved():
        draft = api.draft(
            said,
            models=models.model or (),
            base_url=models.base_url,
            limits=models.limits,
            target=target,
            tell=lambda line: print(plain(line), file=sys.stderr),
        )
    if not (json and yes):
        _show(draft, stderr=json)
    wanted = draft.description.fairness.fair if yes else _agreed(file, json=json)
    if wanted:
        _write(file, draft.text)
    if json:
        print_json({"file": str(file) if wanted else None, **draft.to_json()})
    else:
        why = ": it is no fair test" if yes else ""
        print(f"task   {file}" if wanted else f"not written{why}")
        print(f"calls  {draft.record}")
    return EXIT_OK if wanted else EXIT_NEGATIVE


def _check(file: Path, *, yes: bool) -> None:
    """What would be in vain to pay for."""
    folder = file.absolute().parent
    if not paths.is_folder(folder):
        raise UsageError("there is no such folder", where=str(folder), remedy="make it, or change --out")
    try:
        exists = file.exists()
    except OSError as error:  # no file can have such a name
        raise UsageError(f"cannot write the task: {error.strerror}", where=str(file)) from error
    if exists:
        raise UsageError("the file exists", where=str(file), remedy="name another one with --out")
    if not os.access(folder, os.W_OK):
        raise MachineError(
            "the folder cannot be written", where=str(folder), remedy="make it writable, or change --out"
        )
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask whether the task is what you want",
            remedy="add --yes to write it unseen, if it is a fair test",
        )


def _agreed(file: Path, *, json: bool) -> bool:
    try:
        return typer.confirm(f"write it to {file}?", err=json)
    except typer.Abort:  # Ctrl-C, or the end of the input
        return False


def _show(draft: Draft, *, stderr: bool) -> None:
    from rich.text import Text

    from kernelwright.report import tables

    described = draft.description
    print(f"{draft.text.rstrip()}\n", file=sys.stderr if stderr else sys.stdout)
    put(tables.task(described.task.name, described.info, described.fairness, described.floors_us), stderr=stderr)
    put(Text(""), stderr=stderr)


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise MachineError(f"cannot write the task: {error.strerror}", where=str(file)) from error


COMMANDS: dict[str, Callable[..., int | None]] = {"show": show, "new": new}
HELP = "Tasks: what they compute, and new ones from words."
