"""Lessons that agents note, over MCP and from the shell."""

from __future__ import annotations

from typing import Any

from kernelwright import api, registry
from kernelwright.errors import UsageError
from kernelwright.knowledge import lesson, open_library
from kernelwright.knowledge.learning import name_of
from kernelwright.targets import default_language
from kernelwright.tasks import Task

LESSONS_KEPT = 20
"""Of whoever notes some, at a time."""


def note(
    title: str,
    text: str,
    *,
    noted_by: str,
    task: Task | None = None,
    run: str = "",
    language: str | None = None,
    target: str = "cpu",
) -> dict[str, Any]:
    """Keeps a lesson about a task or about a run for later work; its name, and whether it is `new`. A run has a target
    and a language of its own; else the language is by default the target's.

    Raises:
        UsageError: not one of task and run is named, there is no such run or language, there is no title or no text, or
            `LESSONS_KEPT` of whoever notes it are kept.
        MachineError: it cannot be written.
    """
    if (task is None) == (not run):
        raise UsageError("a lesson is about a task or about a run", remedy="name one of them")
    library, about = open_library(), api.view(run) if run else None
    target = about.target.name if about else target
    language = language or (about and about.settings.get("language")) or default_language(target)
    registry.load("languages", language)
    lessons = [each.source for each in library.documents(kind="lesson").values()]
    if sum(source is not None and source.noted_by == noted_by for source in lessons) >= LESSONS_KEPT:
        raise UsageError(
            f"{LESSONS_KEPT} of your lessons are kept", remedy="the user can remove some: knowledge remove NAME"
        )
    noted = lesson(
        title,
        text,
        noted_by=noted_by,
        task=about.task.name if about else task.name if task else "",
        language=language,
        target=target,
        run=about.run if about else "",
    )
    return {"name": name_of(noted), "new": library.learn(noted)}
