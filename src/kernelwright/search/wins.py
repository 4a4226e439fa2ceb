"""What a search that has ended leaves for later ones: its winner, and what models tried in it, join the documents that
models are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import ValidationError

from kernelwright import registry
from kernelwright.errors import KernelwrightError
from kernelwright.knowledge.learning import lesson, win
from kernelwright.knowledge.library import open_library
from kernelwright.proposers import params

if TYPE_CHECKING:
    from kernelwright.knowledge import Document
    from kernelwright.search.graph import Node, SearchGraph
    from kernelwright.search.result import SearchResult
    from kernelwright.targets.base import TargetInfo
    from kernelwright.tasks import Graph, Task

_KEPT = 5
"""Wins for the same operations that are kept: the best ones, and the newest; and lessons about the same task."""
_TOLD = 3
"""Attempts of a kind that a lesson tells of: those that helped most, that harmed most, and that were rejected last."""
_HELPED, _HARMED = 1.15, 0.87
"""Times the parent's speed. What lies between may be the machine's doing: a search measures briefly."""


def keep(result: SearchResult, task: Task, target: TargetInfo, graph: Graph | None) -> None:
    """Keeps the winner of a search that found something faster, and a lesson where models changed versions. What cannot
    be kept is no reason to fail: the run has its result."""
    with suppress(KernelwrightError, OSError, ValidationError):
        library = open_library()
        for document in (_win(result, task, target, graph), *_lessons(result, task, target, graph)):
            if document is not None and library.learn(document):
                library.prune(_KEPT)


def _win(result: SearchResult, task: Task, target: TargetInfo, graph: Graph | None) -> Document | None:
    row = result.comparison.row(result.best.candidate.id) if result.comparison and result.best else None
    if result.outcome != "faster" or result.best is None or row is None:
        return None
    candidate = result.best.candidate
    return win(
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


def _lessons(result: SearchResult, task: Task, target: TargetInfo, graph: Graph | None) -> Iterator[Document]:
    """For each scaffold that changed versions, what its models say that they tried, with what the judge said of it."""
    for scaffold in registry.names("proposers"):
        if not registry.load("proposers", scaffold).asks_models:
            continue
        nodes = [node for node in result.graph if node.candidate.proposer == scaffold and node.candidate.note.strip()]
        if told := [*_changes(nodes, result.graph), *_rejections(nodes)]:
            yield lesson(
                f"what was tried for {task.name}",
                "\n".join(told),
                noted_by=scaffold,
                task=task.name,
                language=nodes[0].candidate.language,
                target=target.name,
                run=result.run,
                operations=graph.operations if graph else [],
            )


def _changes(nodes: Iterable[Node], graph: SearchGraph) -> Iterator[str]:
    """Changes that made a version clearly faster or slower, the greatest ones."""
    pairs = ((graph[parent], node) for node in nodes for parent in node.candidate.parents[:1] if parent in graph)
    both = ((node.fitness / parent.fitness, node) for parent, node in pairs if parent.fitness > 0 < node.fitness)
    found = sorted(both, key=lambda each: each[0], reverse=True)
    helped = [each for each in found if each[0] >= _HELPED][:_TOLD]
    harmed = [each for each in found if each[0] <= _HARMED][-_TOLD:]
    for ratio, node in (*helped, *harmed):
        yield f"- {ratio:.2f} times the speed of the version it changed: {_note(node)}"


def _rejections(nodes: Iterable[Node]) -> Iterator[str]:
    rejected = [node for node in nodes if not node.verdict.accepted and node.verdict.lasting][-_TOLD:]
    for node in rejected:
        yield f"- rejected ({node.verdict.reason}): {_note(node)}"


def _note(node: Node) -> str:
    return " ".join(node.candidate.note.split())[:200]
