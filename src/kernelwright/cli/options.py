"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kernelwright.registry import Group


def _registered(group: Group) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        from kernelwright import registry

        return [name for name in registry.names(group) if name.startswith(incomplete)]

    return complete


TaskArgument = Annotated[
    str,
    typer.Argument(metavar="TASK", help="A file in KernelBench's format, or package.module:name.", show_default=False),
]
KernelArgument = Annotated[
    Path, typer.Argument(metavar="KERNEL", help="A Python file that defines ModelNew.", show_default=False)
]
RunArgument = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run as `kernelwright runs` lists it, or its beginning.", show_default=False),
]
TargetOption = Annotated[
    str, typer.Option(help="The device it must be fast on.", autocompletion=_registered("targets"))
]
LanguageOption = Annotated[
    str, typer.Option(help="What candidates are written in.", autocompletion=_registered("languages"))
]
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="SPEC",
        help="An argument of forward, e.g. float32[4096,4096] or int64[32]<1000; where a task draws none.",
        show_default=False,
    ),
]
AllowTf32Option = Annotated[bool, typer.Option("--allow-tf32", help="Accept products of inputs rounded to TF32.")]
ToleranceOption = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Accept this error relative to the output's size, instead of the judge's bound.",
        show_default=False,
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Refuse kernels that call torch's own operations beside their own.")
]
OutOption = Annotated[Path, typer.Option(metavar="DIR", help="Where the kernel and the report go.", file_okay=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value on stdout and nothing else.")]
PolicyOption = Annotated[
    str | None,
    typer.Option(help="Which candidates to build on next.", autocompletion=_registered("policies"), show_default=False),
]
ModelOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PROVIDER:NAME",
        help="A language model to ask, of openai, anthropic, google, openrouter, deepseek or ollama; or all: those in "
        "kernelwright.toml. May be repeated.",
        show_default=False,
    ),
]
BaseUrlOption = Annotated[
    str | None, typer.Option(metavar="URL", help="The models' endpoint, where it is another.", show_default=False)
]
MaxCallsOption = Annotated[
    int | None, typer.Option(metavar="N", help="Most calls of models.", min=1, show_default=False)
]
MaxTokensOption = Annotated[
    int | None, typer.Option(metavar="N", help="Most tokens of all calls.", min=1, show_default=False)
]
MaxUsdOption = Annotated[float | None, typer.Option(metavar="X", help="Most money for all calls.", show_default=False)]
