"""`kernelwright agent init DIR`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder the agent works in.", file_okay=False, show_default=False)
    ],
) -> None:
    """Write the instructions for Claude Code, Codex and Gemini CLI; no file that exists is changed."""
    from kernelwright.serve import agents

    written = agents.init(folder)
    print("\n".join(f"wrote  {path}" for path in written) or "everything is there already")
    if shutil.which("kernelwright") is None:
        print("note   `kernelwright` is not on PATH: start the agent from a shell where it is")


COMMANDS: dict[str, Callable[..., None]] = {"init": init}
HELP = "Set up coding agents."
