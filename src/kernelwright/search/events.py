"""What a search tells a listener while it runs. Everything an event shows is stored already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kernelwright.proposers.base import Candidate
from kernelwright.search.graph import Node
from kernelwright.tasks import Problem


@dataclass(frozen=True)
class Progress:
    """Where the search stands: verdicts so far, the best speedup over the reference (None before the first accepted
    candidate), the candidates that are being evaluated, and the budget left (None without a limit)."""

    evaluated: int
    best_speedup: float | None
    trying: tuple[Candidate, ...]
    seconds: float
    seconds_left: float | None
    evaluations_left: int | None


@dataclass(frozen=True)
class Event:
    """Something happened."""

    progress: Progress


@dataclass(frozen=True)
class Started(Event):
    """The task was loaded and the search begins, or goes on: `resumed` is the number of verdicts it had."""

    run: str
    resumed: int


@dataclass(frozen=True)
class Unfair(Event):
    """The task turned out to be no fair test: what is found for it may be faster for the wrong reason."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Proposed(Event):
    """A proposer made a candidate."""

    candidate: Candidate


@dataclass(frozen=True)
class Building(Event):
    """The judge takes up a candidate: it is built, checked, then timed."""

    candidate: Candidate


@dataclass(frozen=True)
class Evaluated(Event):
    """The judge gave its verdict; `reused` when it did so in an earlier run."""

    node: Node
    reused: bool


@dataclass(frozen=True)
class Best(Event):
    """There is a new best candidate."""

    node: Node


@dataclass(frozen=True)
class ProposerFailed(Event):
    """A proposer cannot work here and is not asked again; the search goes on with the others."""

    proposer: str
    message: str


@dataclass(frozen=True)
class Comparing(Event):
    """The search is over and the finalists are measured side by side."""

    finalists: tuple[Node, ...]


@dataclass(frozen=True)
class Stopped(Event):
    """The end, with the reason."""

    reason: str


Listener = Callable[[Event], None]
