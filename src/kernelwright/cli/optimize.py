"""`kernelwright optimize TASK`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kernelwright.cli.options import AskedModels, JsonOption, JudgedTask, OutOption, PolicyOption
from kernelwright.cli.output import present
from kernelwright.cli.progress import watch


def _scaffolds(incomplete: str) -> list[str]:
    from kernelwright import choices

    return [name for name in choices.scaffolds() if name.startswith(incomplete)]


def command(
    *,
    budget: Annotated[str, typer.Option(metavar="TIME", help="How long to search, e.g. 60s, 5m, 1h.")] = "60s",
    out: OutOption = Path("kernels"),
    policy: PolicyOption = None,
    seed: Annotated[int | None, typer.Option(help="Makes a run repeatable.", min=0, show_default=False)] = None,
    evaluations: Annotated[
        int | None, typer.Option(metavar="N", help="Stop after this many candidates.", min=1, show_default=False)
    ] = None,
    judged: JudgedTask,
    models: AskedModels,
    scaffold: Annotated[
        str | None,
        typer.Option(help="How models are asked.", autocompletion=_scaffolds, show_default="operator"),
    ] = None,
    replay: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Answer prompts from the record of a run, or a file that `calls --json` wrote, instead of models.",
            show_default=False,
        ),
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIR",
            help="A folder with templates for prompts, in the place of those that ship; or shipped. May be repeated: "
            "they are used in turn.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> int:
    """Search for a faster kernel; write the best one and a report."""
    from kernelwright import api

    with watch(quiet=json) as listener:
        result = api.optimize(
            judged.load(),
            target=judged.target,
            language=judged.language,
            budget=budget,
            out=out,
            policy=policy,
            seed=seed,
            evaluations=evaluations,
            models=models.model or (),
            scaffold=scaffold,
            base_url=models.base_url,
            prompts=prompts or (),
            limits=models.limits,
            replay=replay,
            listener=listener,
        )
    return present(result, json=json)
