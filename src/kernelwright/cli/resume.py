"""`kernelwright resume RUN`."""

from __future__ import annotations

from pathlib import Path

from kernelwright.cli.options import JsonOption, OutOption, RunArgument
from kernelwright.cli.output import present
from kernelwright.cli.progress import watch


def command(run: RunArgument, out: OutOption = Path("kernels"), json: JsonOption = False) -> int:
    """Go on with a run that was interrupted; nothing is evaluated twice."""
    from kernelwright import api

    with watch(quiet=json) as listener:
        result = api.resume(run, out=out, listener=listener)
    return present(result, json=json)
