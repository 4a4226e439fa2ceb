"""Instructions that let a coding agent optimise a task with Kernelwright."""

from __future__ import annotations

import os
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from kernelwright import paths
from kernelwright.errors import MachineError, UsageError

FILES = {
    ".claude/skills/kernelwright/SKILL.md": "skill.md.j2",
    ".mcp.json": "mcp.json.j2",
    ".agents/skills/kernelwright/SKILL.md": "skill.md.j2",
    "AGENTS.md": "agents.md.j2",
    ".codex/config.toml": "codex.toml.j2",
    "GEMINI.md": "agents.md.j2",
    ".gemini/settings.json": "mcp.json.j2",
}
"""What Claude Code, Codex and Gemini CLI read in a project's folder, and the template each is made from. Codex and
Gemini CLI look for skills in `.agents/skills`."""


def init(folder: Path) -> list[Path]:
    """Writes the files for coding agents into a folder, all or none; returns those that were not there yet.

    Raises:
        UsageError: something else is in the place of a file or of a folder; names each such place.
        MachineError: a file cannot be read or written.
    """
    templates = Environment(
        loader=PackageLoader("kernelwright.serve"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    wanted = {folder / name: templates.get_template(template).render() for name, template in FILES.items()}
    written: list[Path] = []
    try:
        missing = [path for path in wanted if not os.path.lexists(path)]
        others = [path for path in wanted if path not in missing and not _holds(path, wanted[path])]
        above = {each for path in missing for each in path.parents if folder in each.parents}
        others += filter(_is_no_folder, above)
        if others:
            raise UsageError(
                "there is something else already",
                where=", ".join(map(str, sorted(others))),
                remedy="move it away, run this again, and put back by hand what you need of it; nothing was written",
            )
        for path in missing:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(wanted[path])
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise MachineError(
            f"cannot set up the folder: {error.strerror}",
            where=str(error.filename or folder),
            remedy="name a folder that you can write",
        ) from error
    return missing


def _holds(path: Path, text: str) -> bool:
    return paths.is_file(path) and path.read_bytes() == text.encode()


def _is_no_folder(path: Path) -> bool:
    """Whether something else is there, be it a link that leads nowhere."""
    return os.path.lexists(path) and not paths.is_folder(path)
