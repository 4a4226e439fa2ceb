"""`kernelwright guide`."""

from __future__ import annotations

from kernelwright.cli.options import JsonOption, LanguageOption, TargetOption
from kernelwright.cli.output import print_json


def command(language: LanguageOption = None, target: TargetOption = "cpu", json: JsonOption = False) -> None:
    """Print how to write a candidate, for people and models."""
    from kernelwright import api

    guide = api.guide(language, target=target)
    if json:
        print_json(guide)
    else:
        print(guide)
