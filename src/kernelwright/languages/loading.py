"""Finds the language that candidates are said to be written in."""

from __future__ import annotations

from kernelwright import registry
from kernelwright.errors import UsageError
from kernelwright.languages.base import Kind, Language


def language_for(name: str, kind: Kind, target: str) -> Language:
    """The language of that name, for a target of that kind.

    Raises:
        UsageError: there is none of that name, or its kernels do not run there.
    """
    found: Language = registry.load("languages", name)()
    if kind not in found.runs_on:
        others = [other for other in registry.names("languages") if kind in registry.load("languages", other).runs_on]
        remedy = f"choose another --language ({', '.join(others)}) or another --target"
        raise UsageError(f"candidates in {name} do not run on {target}", remedy=remedy)
    return found
