"""Arguments and options that several commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

if TYPE_CHECKING:
    from kernelwright.proposers.llm.limits import Limits
    from kernelwright.registry import Group
    from kernelwright.tasks import Task

_R = TypeVar("_R")


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
    str | None,
    typer.Option(
        help="What candidates are written in.",
        autocompletion=_registered("languages"),
        show_default="the target's",
    ),
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
BackwardOption = Annotated[
    bool, typer.Option("--backward", help="Judge and time gradients of inputs and parameters too, with forward.")
]
SanitizeOption = Annotated[
    bool, typer.Option("--sanitize", help="On a GPU: have compute-sanitizer look for errors of memory and races, too.")
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


@dataclass(frozen=True)
class JudgedTask:
    """A task, what candidates for it are written in, where they must be fast, and what the judge accepts."""

    task: TaskArgument
    target: TargetOption = "cpu"
    language: LanguageOption = None
    inputs: InputOption = None
    allow_tf32: AllowTf32Option = False
    tolerance: ToleranceOption = None
    strict: StrictOption = False
    backward: BackwardOption = False

    def load(self) -> Task:
        """The task. Raises as `api.load_task` does."""
        from kernelwright import api

        return api.load_task(
            self.task,
            inputs=self.inputs or (),
            allow_tf32=self.allow_tf32,
            tolerance=self.tolerance,
            strict=self.strict,
            backward=self.backward,
        )


@dataclass(frozen=True)
class AskedModels:
    """Which language models are asked, where, and what their calls may take."""

    model: ModelOption = None
    base_url: BaseUrlOption = None
    max_calls: MaxCallsOption = None
    max_tokens: MaxTokensOption = None
    max_usd: MaxUsdOption = None

    @property
    def limits(self) -> Limits | None:
        """None where none is named. Raises `UsageError`."""
        from kernelwright import choices

        return choices.limits(calls=self.max_calls, tokens=self.max_tokens, usd=self.max_usd)


def expanded(command: Callable[..., _R]) -> Callable[..., _R]:
    """The command as Typer takes it: a parameter that is a group of options, one of the classes above, gives way to the
    group's fields."""
    given = inspect.signature(command, eval_str=True)
    groups: dict[str, type[Any]] = {
        name: each.annotation
        for name, each in given.parameters.items()
        if isinstance(each.annotation, type) and is_dataclass(each.annotation)
    }
    parameters = list[inspect.Parameter]()
    for name, each in given.parameters.items():
        parameters += _fields(groups[name]) if name in groups else [each]

    @wraps(command)
    def call(**values: Any) -> _R:
        for name, group in groups.items():
            values[name] = group(**{each.name: values.pop(each.name) for each in fields(group)})
        return command(**values)

    by_name = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    call.__signature__ = given.replace(parameters=by_name)  # type: ignore[attr-defined] # It is what Typer looks at.
    call.__annotations__ = {each.name: each.annotation for each in by_name}
    return call


def _fields(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [each.replace(annotation=hints[name]) for name, each in inspect.signature(group).parameters.items()]
