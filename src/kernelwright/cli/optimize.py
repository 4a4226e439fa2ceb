"""`kernelwright optimize TASK`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kernelwright.cli.options import (
    AllowTf32Option,
    BaseUrlOption,
    InputOption,
    JsonOption,
    LanguageOption,
    MaxCallsOption,
    MaxTokensOption,
    MaxUsdOption,
    ModelOption,
    OutOption,
    PolicyOption,
    StrictOption,
    TargetOption,
    TaskArgument,
    ToleranceOption,
)
from kernelwright.cli.output import present
from kernelwright.cli.progress import watch


def _scaffolds(incomplete: str) -> list[str]:
    from kernelwright import choices

    return [name for name in choices.scaffolds() if name.startswith(incomplete)]


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
    model: ModelOption = None,
    scaffold: Annotated[
        str | None,
        typer.Option(help="How models are asked.", autocompletion=_scaffolds, show_default="operator"),
    ] = None,
    base_url: BaseUrlOption = None,
    max_calls: MaxCallsOption = None,
    max_tokens: MaxTokensOption = None,
    max_usd: MaxUsdOption = None,
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
    inputs: InputOption = None,
    allow_tf32: AllowTf32Option = False,
    tolerance: ToleranceOption = None,
    strict: StrictOption = False,
    json: JsonOption = False,
) -> int:
    """Search for a faster kernel; write the best one and a report."""
    from kernelwright import api, choices

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
            models=model or (),
            scaffold=scaffold,
            base_url=base_url,
            prompts=prompts or (),
            limits=choices.limits(calls=max_calls, tokens=max_tokens, usd=max_usd),
            replay=replay,
            listener=listener,
        )
    return present(result, json=json)
