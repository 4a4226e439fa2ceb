"""What a search found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernelwright.proposers.base import Attempt
from kernelwright.search.graph import SearchGraph
from kernelwright.store import Outcome

if TYPE_CHECKING:
    from kernelwright.judge.verdict import Comparison

INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class SearchResult:
    """What a search found. `seconds` are those of all sittings, `stopped` is the reason why it ended.

    `best` is the winner of the final comparison; `outcome` is `faster` where the lower end of its confidence interval
    over eager is above 1. After an interruption `stopped` is `INTERRUPTED`, `outcome` and `comparison` are None, and
    `best` is the best one so far.
    """

    run: str
    outcome: Outcome | None
    best: Attempt | None
    comparison: Comparison | None
    evaluated: int
    seconds: float
    stopped: str
    graph: SearchGraph
