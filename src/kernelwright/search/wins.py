"""What a search that has ended leaves for later ones: its winner joins the documents that language models are shown."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import ValidationError

from kernelwright.errors import KernelwrightError
from kernelwright.knowledge.learning import win
from kernelwright.knowledge.library import open_library
from kernelwright.proposers import params

if TYPE_CHECKING:
    from kernelwright.search.result import SearchResult
    from kernelwright.targets.base import TargetInfo
    from kernelwright.tasks import Graph, Task

_KEPT = 5
"""Wins for the same operations that are kept: the best ones, and the newest."""


def keep(result: SearchResult, task: Task, target: TargetInfo, graph: Graph | None) -> None:
    """Keeps the winner of a search that found something faster. What cannot be kept is no reason to fail: the run has
    its result."""
    row = result.comparison.row(result.best.candidate.id) if result.comparison and result.best else None
    if result.outcome != "faster" or result.best is None or row is None:
        return
    candidate = result.best.candidate
    with suppress(KernelwrightError, OSError, ValidationError):
        library = open_library()
        library.learn(
            win(
                run=result.run,
                task=task.name,
                candidate=candidate.id,
                language=candidate.language,
                target=target.name,
                operations=graph.operations if graph else [],
                speedup=row.speedup,
                floor_share=row.floor_share,
                note=candidate.note,
                params=params.values(candidate.source),
                source=candidate.source,
            )
        )
        library.prune(_KEPT)
