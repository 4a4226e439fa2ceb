"""`kernelwright export RUN`."""

from __future__ import annotations

from pathlib import Path

from kernelwright.cli.options import JsonOption, OutOption, RunArgument
from kernelwright.cli.output import present, stdout_reserved


def command(run: RunArgument, out: OutOption = Path("kernels"), json: JsonOption = False) -> int:
    """Write the best kernel and the report of a run again."""
    from kernelwright import api

    with stdout_reserved():
        result = api.export(run, out=out)
    return present(result, json=json)
