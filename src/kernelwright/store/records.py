"""What the store hands out: plain, immutable records."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Attempt, Candidate
from kernelwright.store.schema import Outcome
from kernelwright.tasks import Graph, Task

Status = Literal["running", "finished", "interrupted"]


@dataclass(frozen=True)
class RunRecord:
    """A search. Times are in UTC; None stands for what is not known before it is finished.

    `settings`, `target` and `comparison` are the JSON of `Settings`, `TargetInfo` and `Comparison`. `report` holds what
    a report needs beside them (`info`: JSON of `TaskInfo`, `floor_us`, `ceilings`, `versions`); None until the task was
    loaded. `owner` is the process that searched it last, as `pid@host`. `seconds` are those of all its sittings,
    `evaluated` counts verdicts, `speedup` is the final one over eager, or the best measured during the search where
    there was no final comparison.
    """

    id: str
    task: Task
    target_key: str
    target: dict[str, Any]
    settings: dict[str, Any]
    seed: int
    status: Status
    owner: str
    started: datetime
    finished: datetime | None
    seconds: float | None
    outcome: Outcome | None
    stopped: str | None
    best_id: str | None
    comparison: dict[str, Any] | None
    report: dict[str, Any] | None
    evaluated: int
    speedup: float | None


@dataclass(frozen=True)
class NodeRecord:
    """A candidate of a run: proposed, and evaluated once it has a verdict.

    `number` counts from 1 in the order in which evaluations began; `at` is the second of the run at which its verdict
    came.
    """

    number: int
    candidate: Candidate
    params: dict[str, Any] | None
    at: float | None
    verdict: Verdict | None

    @property
    def state(self) -> Literal["proposed", "evaluated"]:
        """Whether the verdict is there."""
        return "proposed" if self.verdict is None else "evaluated"

    @property
    def attempt(self) -> Attempt:
        """The candidate with its verdict; only for evaluated ones."""
        assert self.verdict is not None
        return Attempt(self.candidate, self.verdict)


def signature(graph: Graph | None) -> str | None:
    """The same for like tasks: a hash of the operations in the exported graph, whatever their order and shapes.

    None where there is no graph.
    """
    if graph is None:
        return None
    return hashlib.sha256(json.dumps(sorted(graph.operations)).encode()).hexdigest()[:16]
