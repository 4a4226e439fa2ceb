"""`kernelwright guide`."""

from __future__ import annotations

from kernelwright.cli.options import LanguageOption


def command(language: LanguageOption = "cpp") -> None:
    """Print how to write a candidate, for people and models."""
    from kernelwright import api

    print(api.guide(language))
