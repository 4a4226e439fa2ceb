"""`kernelwright optimize TASK`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kernelwright.cli.options import (
    AllowTf32Option,
    InputOption,
    JsonOption,
    LanguageOption,
    OutOption,
    PolicyOption,
    StrictOption,
    TargetOption,
    TaskArgument,
    ToleranceOption,
)
from kernelwright.cli.output import present
from kernelwright.cli.progress import watch


def command(
    task: TaskArgument,
    *,
    target: TargetOption = "cpu",
    language: LanguageOption = "cpp",
    budget: Annotated[str, typer.Option(metavar="TIME", help="How long to search, e.g. 60s, 5m, 1h.")] = "60s",
    out: OutOption = Path("kernels"),
    policy: PolicyOption = None,
    seed: Annotated[int | None, typer.Option(help="Makes a run repeatable.", min=0, show_default=False)] = None,
    evaluations: Annotated[
        int | None, typer.Option(metavar="N", help="Stop after this many candidates.", min=1, show_default=False)
    ] = None,
    inputs: InputOption = None,
    allow_tf32: AllowTf32Option = False,
    tolerance: ToleranceOption = None,
    strict: StrictOption = False,
    json: JsonOption = False,
) -> int:
    """Search for a faster kernel; write the best one and a report."""
    from kernelwright import api

    with watch(quiet=json) as listener:
        result = api.optimize(
            api.load_task(task, inputs=inputs or (), allow_tf32=allow_tf32, tolerance=tolerance, strict=strict),
            target=target,
            language=language,
            budget=budget,
            out=out,
            policy=policy,
            seed=seed,
            evaluations=evaluations,
            listener=listener,
        )
    return present(result, json=json)
