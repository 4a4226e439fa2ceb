"""A run as reports show it, gathered from the store."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from kernelwright.errors import UsageError
from kernelwright.judge.verdict import Comparison, ComparisonRow, Verdict
from kernelwright.proposers.base import Candidate
from kernelwright.proposers.llm.config import Configuration
from kernelwright.proposers.llm.limits import Spent
from kernelwright.store import NodeRecord, RunRecord, Store
from kernelwright.targets.base import Ceilings, TargetInfo
from kernelwright.tasks import CaseInfo, Fairness, Task, TaskInfo

if TYPE_CHECKING:
    from kernelwright.report.prompt_sets import SetTally


@dataclass(frozen=True)
class Node:
    """One evaluated candidate: its place in the order of verdicts, from 1, and the second of the run when it came."""

    number: int
    at: float
    candidate: Candidate
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """One entry of `candidates` in `show --json`."""
        return {
            "number": self.number,
            "at": self.at,
            "candidate": self.candidate.id,
            "proposer": self.candidate.proposer,
            "note": self.candidate.note,
            "parents": list(self.candidate.parents),
            "outcome": self.verdict.outcome,
            "reason": self.verdict.reason,
            "speedup": self.verdict.speedup,
        }

    def in_full(self) -> dict[str, Any]:
        """What `node --json` prints."""
        return {**self.to_json(), "source": self.candidate.source, "verdict": as_json(self.verdict)}


@dataclass(frozen=True)
class RunView:
    """One run. `floor_us` is the floor of the first timed case, `best` the id of the kernel that was returned.

    `outcome` is `faster`, `not_faster`, `no_kernel`; for a run that has not come to its end `running`, `interrupted`.
    """

    run: str
    task: Task
    info: TaskInfo
    floor_us: float
    target: TargetInfo
    ceilings: Ceilings
    started: datetime
    seconds: float
    outcome: str
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    nodes: Sequence[Node]
    best: str | None
    comparison: Comparison | None
    fairness: Fairness
    spent: Spent
    """What calls of language models took."""
    asked: Mapping[str, int] = field(default_factory=dict)
    """How many calls each of them got."""
    prompt_sets: Sequence[SetTally] = ()
    """What came of each set of prompts, where there were several."""

    @property
    def case(self) -> CaseInfo:
        """The case that headline numbers speak of."""
        return self.info.tune_case

    @property
    def best_node(self) -> Node | None:
        """The node whose kernel was returned; none when no candidate was accepted."""
        return next((node for node in self.nodes if node.candidate.id == self.best), None)

    @property
    def headline(self) -> ComparisonRow | Verdict | None:
        """The headline numbers: of the final side-by-side comparison, else of the best candidate's own verdict."""
        row = self.comparison.row(self.best) if self.comparison and self.best else None
        return row or (self.best_node.verdict if self.best_node else None)

    @property
    def chosen(self) -> dict[str, str]:
        """The settings in words, without those that say nothing."""
        asked = self.settings.get("models")
        unusual = Configuration.model_validate(asked).model_dump(exclude_defaults=True) if asked else {}
        told = {name: _in_words(value) for name, value in {**self.settings, **unusual}.items()}
        return {name.replace("_", " "): words for name, words in told.items() if words}

    @property
    def models(self) -> dict[str, Any]:
        """What language models were asked, as JSON."""
        return {**asdict(self.spent), "asked": dict(self.asked)}

    @property
    def reference_us(self) -> float | None:
        """Eager's time in µs, measured beside the headline's."""
        row = self.comparison.row("eager") if self.comparison else None
        if row is not None:
            return row.time_us
        return self.best_node.verdict.reference_us if self.best_node else None

    def to_json(self) -> dict[str, Any]:
        """What `show --json` prints."""
        return {
            "run": self.run,
            "task": self.task.name,
            "outcome": self.outcome,
            "started": self.started.isoformat(),
            "seconds": round(self.seconds, 2),
            "settings": dict(self.settings),
            "versions": dict(self.versions),
            "target": as_json(self.target),
            "floor_us": self.floor_us,
            "fair": self.fairness.verdict,
            "problems": as_json(self.fairness)["problems"],
            "best": as_json(self.best_node.verdict if self.best_node else None),
            "comparison": as_json(self.comparison),
            "models": self.models,
            "prompts": [asdict(each) for each in self.prompt_sets],
            "candidates": [node.to_json() for node in self.nodes],
        }


def _in_words(value: Any) -> str:
    """A setting as people read it; empty where it says nothing."""
    if isinstance(value, Mapping):
        told = {name: _in_words(each) for name, each in value.items()}
        return ", ".join(f"{name.replace('_', ' ')} {words}" for name, words in told.items() if words)
    if isinstance(value, list | tuple):
        return ", ".join(map(_in_words, value))
    return "" if value is None else str(value)


def as_json(model: BaseModel | None) -> Any:
    """A verdict, comparison or description as JSON data; infinite and undefined numbers become null, JSON has none."""
    return json.loads(model.model_dump_json()) if model is not None else None


def find(store: Store, name: str) -> RunRecord:
    """The run of that name, or the only one whose name begins so.

    Raises:
        UsageError: there is none, or several; names those that come close.
    """
    known = store.names()
    begun = [name] if name in known else [run for run in known if name and run.startswith(name)]
    if len(begun) == 1:
        return store.run(begun[0])
    close = begun[:3] or difflib.get_close_matches(name, known, n=3)
    what = f"{len(begun)} runs begin with {name!r}" if begun else f"there is no run {name!r}"
    raise UsageError(what, remedy=f"did you mean {' or '.join(close)}?" if close else "`kernelwright runs` lists them")


def load(store: Store, run: str) -> RunView:
    """Gathers a run.

    Raises:
        UsageError: there is no such run, or it ended before its task was loaded, so that there is nothing to show.
        StoreError: the store cannot be read.
    """
    record = store.run(run)
    if record.report is None:
        raise UsageError("the run ended before its task was loaded", where=run, remedy="start it again with `optimize`")
    candidates = store.nodes(run)
    nodes = _evaluated(candidates)
    comparison = Comparison.model_validate(record.comparison) if record.comparison else None
    return RunView(
        run=record.id,
        task=record.task,
        info=TaskInfo.model_validate(record.report["info"]),
        floor_us=comparison.floor_us if comparison else record.report["floor_us"],
        target=TargetInfo.model_validate(record.target),
        ceilings=Ceilings.model_validate(record.report["ceilings"]),
        started=record.started,
        seconds=record.seconds if record.seconds is not None else max((node.at for node in nodes), default=0.0),
        outcome=record.outcome or record.status,
        settings={**record.settings, "seed": record.seed},
        versions=record.report["versions"],
        nodes=nodes,
        best=_best(record, nodes),
        comparison=comparison,
        fairness=Fairness.model_validate({"problems": record.report.get("problems", [])}),
        spent=store.spent(run),
        asked=store.asked(run),
        prompt_sets=_prompt_sets(store, record, candidates),
    )


def _evaluated(records: Sequence[NodeRecord]) -> list[Node]:
    done = [(record, record.verdict) for record in records if record.verdict is not None]
    return [
        Node(number, record.at or 0.0, record.candidate, verdict)
        for number, (record, verdict) in enumerate(done, start=1)
    ]


def _prompt_sets(store: Store, record: RunRecord, candidates: Sequence[NodeRecord]) -> Sequence[SetTally]:
    folders = record.settings.get("prompts", ())
    if len(folders) < 2:
        return ()
    from kernelwright.report.prompt_sets import tally

    device = TargetInfo.model_validate(record.target)
    return tally(store.calls(record.id), candidates, folders, device)


def _best(record: RunRecord, nodes: Sequence[Node]) -> str | None:
    """What the search returned; for a run that has not ended, the fastest candidate so far."""
    if record.outcome is not None:
        return record.best_id
    accepted = [node for node in nodes if node.verdict.accepted and node.verdict.speedup]
    fastest = max(accepted, key=lambda node: node.verdict.speedup or 0.0, default=None)
    return fastest.candidate.id if fastest else None
