"""When a search has done enough."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from kernelwright.search.graph import SearchGraph

_COMPARISON_SHARE, _COMPARISON_LEAST_S, _COMPARISON_MOST_S = 0.15, 2.0, 30.0
_OVERTIME_MOST_S = 60.0
NEAR_FLOOR = 0.97
"""A kernel that takes at most 1/0.97 of the floor's time cannot be made noticeably faster."""


class Budget:
    """What a search may spend and what is left of it: seconds of wall time, and evaluations.

    The final comparison's time is kept back from the search: 15 % of the whole, at least 2 s and at most 30 s. A search
    that has found no kernel has the whole time and as much again, at most 60 s: what it is judging is worth the wait.

    Args:
        seconds: for search and final comparison together; None for no limit.
        evaluations: how many candidates may be evaluated; None for no limit.
        spent: seconds spent in earlier sittings of a resumed run.
        started: evaluations that began in earlier sittings.
        clock: seconds since any moment.
    """

    def __init__(
        self,
        seconds: float | None,
        evaluations: int | None,
        *,
        spent: float = 0.0,
        started: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds, self.evaluations = seconds, evaluations
        self.started = started
        self._clock = clock
        self._origin = clock() - spent

    @property
    def elapsed(self) -> float:
        """Seconds since the run began, sittings added up."""
        return self._clock() - self._origin

    @property
    def search_left(self) -> float | None:
        """Seconds until the search must end, so that the final comparison fits; None without a limit."""
        if self.seconds is None:
            return None
        reserve = min(max(_COMPARISON_SHARE * self.seconds, _COMPARISON_LEAST_S), _COMPARISON_MOST_S, self.seconds / 2)
        return max(0.0, self.seconds - reserve - self.elapsed)

    @property
    def seconds_left(self) -> float | None:
        """Seconds left in all; None without a limit."""
        return None if self.seconds is None else max(0.0, self.seconds - self.elapsed)

    @property
    def overtime_left(self) -> float | None:
        """Seconds until a search without a kernel must end; None without a limit."""
        if self.seconds is None:
            return None
        return max(0.0, self.seconds + min(self.seconds, _OVERTIME_MOST_S) - self.elapsed)

    @property
    def evaluations_left(self) -> int | None:
        """Evaluations that may still begin; None without a limit."""
        return None if self.evaluations is None else max(0, self.evaluations - self.started)

    @property
    def over(self) -> str:
        """Why a search ends that has no time left."""
        return f"{self.seconds:g} s are over"

    def start(self) -> None:
        """Counts an evaluation that begins."""
        self.started += 1


class Stop(ABC):
    """Life cycle: made once a sitting, asked after every verdict. It must answer from the graph and the budget alone,
    so that a resumed search stops where an uninterrupted one would."""

    @abstractmethod
    def reason(self, graph: SearchGraph, budget: Budget) -> str:
        """Why the search should end now, in a few words; empty while it should go on."""


class Evaluations(Stop):
    """After as many verdicts as the budget has evaluations."""

    def reason(self, graph: SearchGraph, budget: Budget) -> str:
        """See `Stop`."""
        spent = budget.evaluations is not None and len(graph) >= budget.evaluations
        return f"{budget.evaluations} evaluations done" if spent else ""


class WallTime(Stop):
    """When only the final comparison's time is left, or no overtime where there is nothing to compare yet."""

    def reason(self, graph: SearchGraph, budget: Budget) -> str:
        """See `Stop`."""
        left = budget.search_left if graph.best() else budget.overtime_left
        return budget.over if left is not None and left <= 0 else ""


class NoProgress(Stop):
    """After `patience` verdicts in a row without a new best; never before there is a first one."""

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def reason(self, graph: SearchGraph, budget: Budget) -> str:  # noqa: ARG002 - Stop's interface
        """See `Stop`."""
        best = graph.best()
        flat = best is not None and len(graph) - 1 - best.number >= self.patience
        return f"no progress in {self.patience} evaluations" if flat else ""


class NearFloor(Stop):
    """When the best kernel is surely within 3 % of the time that moving the data takes: at the slow end of its
    confidence interval. Of the arithmetic there may be a way to do with less."""

    def reason(self, graph: SearchGraph, budget: Budget) -> str:  # noqa: ARG002 - Stop's interface
        """See `Stop`."""
        best = graph.best()
        verdict = best.verdict if best else None
        if verdict is None or not (verdict.traffic_us and verdict.time_us and verdict.speedup_ci and verdict.speedup):
            return ""
        share = verdict.traffic_us / verdict.time_us * verdict.speedup_ci[0] / verdict.speedup
        return f"{share:.0%} of the floor's speed reached" if share >= NEAR_FLOOR else ""


class AnyOf(Stop):
    """When any of several says so; the first one's reason."""

    def __init__(self, stops: Sequence[Stop]) -> None:
        self.stops = stops

    def reason(self, graph: SearchGraph, budget: Budget) -> str:
        """See `Stop`."""
        return next((reason for stop in self.stops if (reason := stop.reason(graph, budget))), "")
