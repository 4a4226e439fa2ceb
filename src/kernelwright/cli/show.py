"""`kernelwright show RUN`."""

from __future__ import annotations

from kernelwright.cli.options import JsonOption, RunArgument
from kernelwright.cli.output import print_json, show, stdout_reserved


def command(run: RunArgument, json: JsonOption = False) -> None:
    """Show a run: its comparison, its best kernel, its candidates."""
    from kernelwright import api
    from kernelwright.report import tables

    with stdout_reserved():
        view = api.view(run)
    if json:
        print_json(view.to_json())
    else:
        show(tables.run(view))
