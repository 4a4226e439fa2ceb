"""`kernelwright runs`."""

from __future__ import annotations

from kernelwright.cli.options import JsonOption
from kernelwright.cli.output import print_json, show, stdout_reserved


def command(json: JsonOption = False) -> None:
    """List the runs in the store, newest first."""
    from kernelwright import api
    from kernelwright.report import tables

    with stdout_reserved():
        runs = api.runs()
    if json:
        print_json([api.summary(run) for run in runs])
    else:
        show(tables.runs(runs))
