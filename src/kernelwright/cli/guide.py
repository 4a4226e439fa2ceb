"""`kernelwright guide`."""

from __future__ import annotations

from kernelwright.cli.options import JsonOption, LanguageOption
from kernelwright.cli.output import print_json


def command(language: LanguageOption = "cpp", json: JsonOption = False) -> None:
    """Print how to write a candidate, for people and models."""
    from kernelwright import api

    guide = api.guide(language)
    if json:
        print_json(guide)
    else:
        print(guide)
