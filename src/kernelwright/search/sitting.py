"""One process's work on a run: what the store knows of it, in memory. Everything is stored before it is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kernelwright.proposers import params
from kernelwright.proposers.base import Attempt, Candidate
from kernelwright.search import events
from kernelwright.search.graph import Node, SearchGraph
from kernelwright.search.judge_key import judge_key
from kernelwright.search.result import SearchResult
from kernelwright.search.settings import Settings
from kernelwright.search.stop import Budget
from kernelwright.store import Outcome, RunRecord, Store

if TYPE_CHECKING:
    from kernelwright.judge.verdict import Comparison, Verdict
    from kernelwright.search.policies import Policy


class Sitting:
    """Begins with what earlier sittings stored: verdicts in `graph`, and in `in_flight` what they left without one."""

    def __init__(
        self, record: RunRecord, settings: Settings, policy: Policy, store: Store, listener: events.Listener | None
    ) -> None:
        self.run, self.task, self.seed, self.settings = record.id, record.task, record.seed, settings
        self.policy, self.store = policy, store
        self.graph = SearchGraph()
        self.trying: dict[int, Candidate] = {}
        self._listener, self._target_key, self._judge_key = listener, record.target_key, judge_key()
        nodes = store.nodes(self.run)
        spent = max((node.at for node in nodes if node.at is not None), default=0.0)
        self.budget = Budget(settings.budget_s, settings.evaluations, spent=spent, started=len(nodes))
        self.in_flight = [(node.number, node.candidate) for node in nodes if node.verdict is None]
        self._seen = {node.candidate.id for node in nodes}
        for node in nodes:
            if node.verdict is not None:
                self._add(node.attempt, node.at or 0.0)

    def is_new(self, candidate: Candidate) -> bool:
        """Whether the run has not had this candidate."""
        return candidate.id not in self._seen

    def propose(self, candidate: Candidate) -> int:
        """Stores and shows a new candidate; returns its number."""
        self._seen.add(candidate.id)
        self.budget.start()
        number = self.store.propose(self.run, candidate, params.values(candidate.source))
        self.emit(events.Proposed, candidate=candidate)
        return number

    def known(self, candidate: Candidate) -> Verdict | None:
        """What this judge said about the candidate in whatever run on the same task and target, if that lasts."""
        return self.store.verdict(candidate.id, self.task.id, self._target_key, self._judge_key)

    def evaluated(self, number: int, candidate: Candidate, verdict: Verdict, *, reused: bool) -> None:
        """Stores a verdict, adds it to the graph, and shows it."""
        at, before = self.budget.elapsed, self.graph.best()
        self.store.evaluated(self.run, number, verdict, self._judge_key, at)
        node = self._add(Attempt(candidate, verdict), at)
        self.emit(events.Evaluated, node=node, reused=reused)
        if self.graph.best() is not before:
            self.emit(events.Best, node=node)

    def finish(self, outcome: Outcome, best: Node | None, comparison: Comparison | None, stopped: str) -> SearchResult:
        """Stores how the search ended."""
        self.store.finish(
            self.run,
            outcome,
            stopped=stopped,
            seconds=self.budget.elapsed,
            best=best.id if best else None,
            comparison=comparison.model_dump(mode="json") if comparison else None,
        )
        return self.result(outcome, best, comparison, stopped)

    def result(
        self, outcome: Outcome | None, best: Node | None, comparison: Comparison | None, stopped: str
    ) -> SearchResult:
        """Where the search stands."""
        self.emit(events.Stopped, reason=stopped)
        return SearchResult(
            run=self.run,
            outcome=outcome,
            best=best.attempt if best else None,
            comparison=comparison,
            evaluated=len(self.graph),
            seconds=self.budget.elapsed,
            stopped=stopped,
            graph=self.graph,
        )

    def emit(self, kind: Callable[..., events.Event], **values: Any) -> None:
        """Shows an event to the listener."""
        if self._listener is None:
            return
        best = self.graph.best()
        progress = events.Progress(
            evaluated=len(self.graph),
            best_speedup=best.fitness if best else None,
            trying=tuple(self.trying.values()),
            seconds=self.budget.elapsed,
            seconds_left=self.budget.seconds_left,
            evaluations_left=self.budget.evaluations_left,
        )
        self._listener(kind(progress, **values))

    def _add(self, attempt: Attempt, at: float) -> Node:
        island = self.policy.place(self.graph, attempt.candidate)
        node = self.graph.add(attempt.candidate, attempt.verdict, island=island, at=at)
        self.policy.observe(self.graph, node)
        return node
