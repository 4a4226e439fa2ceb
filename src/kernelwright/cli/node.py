"""`kernelwright node RUN NUMBER`."""

from __future__ import annotations

from typing import Annotated

import typer

from kernelwright.cli.options import JsonOption, RunArgument
from kernelwright.cli.output import plain, print_json, show, stdout_reserved


def command(
    run: RunArgument,
    number: Annotated[int, typer.Argument(help="Its number in `kernelwright show`.", min=1, show_default=False)],
    json: JsonOption = False,
) -> None:
    """Show one candidate of a run: its source and its verdict."""
    from kernelwright import api
    from kernelwright.report import tables

    with stdout_reserved():
        found = api.node(run, number)
    if json:
        print_json(found.in_full())
    else:
        print(plain(found.candidate.source.rstrip()))
        show(tables.verdict(found.verdict))
