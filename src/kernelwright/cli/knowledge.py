"""`kernelwright knowledge`: the documents that proposers are given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from kernelwright.cli.options import JsonOption, LanguageOption, TargetOption
from kernelwright.cli.output import plain, print_json
from kernelwright.cli.output import show as put

LanguageFilter = Annotated[
    str | None, typer.Option("--language", help="Only what speaks of this language.", show_default=False)
]
TargetFilter = Annotated[
    str | None, typer.Option("--target", help="Only what speaks of this target.", show_default=False)
]
_SHELL = "shell"
"""Who noted a lesson from there."""
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="As `list` prints it.", show_default=False)]


def add(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Markdown files.", show_default=False)],
    json: JsonOption = False,
) -> None:
    """Check documents and copy them into your folder; one of the same name is replaced."""
    from kernelwright.knowledge import open_library

    names = open_library().add(files)
    if json:
        print_json(names)
    else:
        print("\n".join(f"added  {name}" for name in names))


def list_(language: LanguageFilter = None, target: TargetFilter = None, json: JsonOption = False) -> None:
    """List all documents: Kernelwright's, those of other packages, yours, and what runs have taught."""
    from kernelwright.knowledge import open_library
    from kernelwright.report import tables

    found = open_library().documents(language=language, target=target)
    if json:
        print_json([{"name": name, **document.to_json()} for name, document in found.items()])
    else:
        put(tables.documents(found))


def search(
    words: Annotated[list[str], typer.Argument(metavar="WORDS...", help="What to look for.", show_default=False)],
    language: LanguageFilter = None,
    target: TargetFilter = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many.", min=1)] = 5,
    json: JsonOption = False,
) -> None:
    """Show the sections that fit the words best."""
    from kernelwright.knowledge import open_library
    from kernelwright.report import tables

    found = open_library().search(" ".join(words), language=language, target=target, k=limit)
    if json:
        print_json([each.to_json() for each in found])
    else:
        put(tables.passages(found))


def show(name: NameArgument, json: JsonOption = False) -> None:
    """Show a whole document."""
    from kernelwright.knowledge import open_library

    found = open_library().document(name)
    if json:
        print_json({"name": name, **found.to_json(), "text": found.text})
    else:
        print(plain(found.markdown()).rstrip())


def remove(name: NameArgument, json: JsonOption = False) -> None:
    """Remove one of your documents, a win or a lesson."""
    from kernelwright.knowledge import open_library

    open_library().remove(name)
    if json:
        print_json(name)
    else:
        print(f"removed  {name}")


def note(
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What it is about, in a line.", show_default=False)],
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="What helped or did not, by how much, and why.", show_default=False)
    ],
    task: Annotated[str, typer.Option("--task", metavar="TASK", help="The task that it is about.")] = "",
    run: Annotated[str, typer.Option("--run", metavar="RUN", help="Or the run that taught it.")] = "",
    language: LanguageOption = None,
    target: TargetOption = "cpu",
    json: JsonOption = False,
) -> None:
    """Keep a lesson for later work on like tasks. It is marked as unchecked."""
    from kernelwright import api
    from kernelwright.serve import lessons

    about = api.load_task(task) if task else None
    noted = lessons.note(title, text, noted_by=_SHELL, task=about, run=run, language=language, target=target)
    if json:
        print_json(noted)
    else:
        print(f"{'noted' if noted['new'] else 'known'}  {noted['name']}")


def prune(
    keep: Annotated[int, typer.Option("--keep", metavar="N", help="Of those that are alike, keep so many.", min=1)] = 5,
    json: JsonOption = False,
) -> None:
    """Remove wins and lessons that others of their kind outdo: the best ones stay, and the newest."""
    from kernelwright.knowledge import open_library

    names = open_library().prune(keep)
    if json:
        print_json(names)
    else:
        print("\n".join(f"removed  {name}" for name in names) or "nothing is outdone")


COMMANDS: dict[str, Callable[..., None]] = {
    "add": add,
    "list": list_,
    "search": search,
    "show": show,
    "remove": remove,
    "note": note,
    "prune": prune,
}
HELP = "The documents that proposers are given."
