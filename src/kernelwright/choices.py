"""What users say, as the search and the judge take it: budgets, settings, models, sources."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from kernelwright import registry
from kernelwright.errors import UsageError
from kernelwright.search import Settings

if TYPE_CHECKING:
    from kernelwright.proposers.base import Proposer
    from kernelwright.proposers.llm.config import Configuration
    from kernelwright.proposers.llm.limits import Limits
    from kernelwright.proposers.llm.record import Record

_M = TypeVar("_M", bound=BaseModel)
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
ALL_MODELS = "all"
"""Named instead of a model: those that the configuration names."""
SCAFFOLD = "operator"
"""How models are asked where nothing else is said."""


def settings(**chosen: Any) -> Settings:
    """The search's own defaults where nothing (None) was chosen."""
    made = _checked(Settings, chosen, option="--")
    registry.load("targets", made.target)
    registry.load("languages", made.language)
    registry.load("policies", made.policy)
    return made


def limits(**most: float | None) -> Limits | None:
    """What calls of language models may take: `calls`, `tokens`, `usd`, `seconds`; None where nothing is said.

    Raises:
        UsageError: a limit is not above 0.
    """
    from kernelwright.proposers.llm.limits import Limits

    return _checked(Limits, most, option="--max-") if any(value is not None for value in most.values()) else None


def _checked(kind: type[_M], chosen: Mapping[str, Any], *, option: str) -> _M:
    """A model of what was chosen, its own defaults where that is None. Raises `UsageError`, which names the option:
    that is `option` and the field's name."""
    try:
        return kind(**{name: value for name, value in chosen.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Input ")
        raise UsageError(message, where=f"{option}{first['loc'][0]}") from error


def scaffolds() -> list[str]:
    """The proposers that ask language models."""
    return [name for name in registry.names("proposers") if registry.load("proposers", name).asks_models]


def _asking(scaffold: str, prompts: Sequence[str]) -> dict[str, Any]:
    """The settings that say how models are asked."""
    if scaffold not in (known := scaffolds()):
        raise UsageError(f"{scaffold} is no scaffold", where="--scaffold", remedy=f"choose one of {', '.join(known)}")
    proposers = (*Settings.model_fields["proposers"].default, scaffold)
    return {"proposers": proposers, "prompts": _prompts(prompts, registry.load("proposers", scaffold))}


def models(
    specs: Sequence[str],
    base_url: str | None,
    limits: Limits | None,
    scaffold: str | None = None,
    prompts: Sequence[str] = (),
) -> dict[str, Any]:
    """The settings that have language models asked; none where no model is named."""
    if not specs:
        if prompts or any(said is not None for said in (base_url, limits, scaffold)):
            raise UsageError("no language model is named", remedy="add --model PROVIDER:NAME, or --model all")
        return {}
    return {"models": configuration(specs, base_url, limits), **_asking(scaffold or SCAFFOLD, prompts)}


def configuration(specs: Sequence[str], base_url: str | None, limits: Limits | None) -> Configuration:
    """The models that are named; those of the files for `all` or where none is."""
    from kernelwright.proposers.llm.config import configure

    return configure(() if list(specs) == [ALL_MODELS] else specs, base_url=base_url, limits=limits)


def replay(source: str, record: Record, scaffold: str | None = None, prompts: Sequence[str] = ()) -> dict[str, Any]:
    """The settings that have prompts answered from a record: a run, or a file. Scaffold and seed are those of the
    recorded run where nothing else is said."""
    return {"replay": source, "seed": record.seed, **_asking(scaffold or record.scaffold or SCAFFOLD, prompts)}


def _prompts(folders: Sequence[str], scaffold: type[Proposer]) -> tuple[str, ...]:
    """Where the sets of templates are, also seen from another folder; each has one at least that the scaffold uses."""
    from kernelwright.proposers.llm.templates import SHIPPED, open_templates

    found = tuple(each if each == SHIPPED else str(Path(each).resolve()) for each in folders)
    for where in found:
        templates = open_templates(where)
        if where != SHIPPED and not templates.own & (used := scaffold.templates(templates)):
            raise UsageError(
                f"the scaffold {scaffold.name} uses none of these templates",
                where=where,
                remedy=f"it uses {', '.join(sorted(used))}",
            )
    return found


def parse_budget(budget: str | float) -> float:
    """Seconds from a number, or from a text such as `60`, `60s`, `5m`, `1.5h`.

    Raises:
        UsageError: it is no time above 0.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(budget))
    seconds = float(match[1]) * _UNITS.get(match[2], 0.0) if match else 0.0
    if seconds <= 0:
        raise UsageError(f"{str(budget)!r} is no time", where="--budget", remedy="write e.g. 60s, 5m or 1h")
    return seconds


def read_source(source: str | Path) -> str:
    """A candidate's text: the file's, or the argument itself where it has several lines.

    Raises:
        UsageError: the file cannot be read.
    """
    if isinstance(source, str) and "\n" in source:
        return source
    try:
        return Path(source).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot read the candidate: {error.strerror}",
            where=str(source),
            remedy="name a Python file that defines ModelNew",
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError("the candidate is no UTF-8 text", where=str(source), remedy="save it as UTF-8") from error
