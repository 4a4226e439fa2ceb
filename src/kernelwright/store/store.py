"""Every run, candidate, verdict and call of a model, in one database."""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from kernelwright.errors import StoreError, UsageError
from kernelwright.home import home
from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Attempt, Candidate
from kernelwright.proposers.llm.call import CallLog, CallRecord
from kernelwright.proposers.llm.limits import Amount, Budget, Limits, Spent
from kernelwright.store.calls import StoredCalls, records, taken
from kernelwright.store.database import Database
from kernelwright.store.locks import FileLocks, Locks, PostgresLocks
from kernelwright.store.records import NodeRecord, RunRecord, Status
from kernelwright.store.schema import CallRow, CandidateRow, NodeRow, Outcome, RunRow, VerdictRow
from kernelwright.targets.base import TargetInfo
from kernelwright.tasks import Task

_LONGEST_SLUG = 40


class Store:
    """The database at `url`, else at KERNELWRIGHT_STORE, else `kernelwright.db` under `home()`; made when missing.

    What a method wrote is on the disk when it returns. Every method raises `StoreError` where the database cannot be
    read or written, and `UsageError` for a run that does not exist.
    """

    def __init__(self, url: str | None = None) -> None:
        self._database = Database(
            url or os.environ.get("KERNELWRIGHT_STORE") or f"sqlite:///{home() / 'kernelwright.db'}"
        )
        self._locks: Locks = (
            PostgresLocks(self._database)
            if self._database.url.get_backend_name() == "postgresql"
            else FileLocks((self._database.file.parent if self._database.file else home()) / "locks")
        )

    @property
    def name(self) -> str:
        """Where the database is, for messages."""
        return self._database.name

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

    def create(self, task: Task, target: TargetInfo, settings: Mapping[str, Any], seed: int) -> str:
        """A new run; its id is short and readable, such as `rmsnorm-3f2a`."""
        slug = re.sub(r"[^a-z0-9]+", "_", task.name.lower()).strip("_")[:_LONGEST_SLUG] or "task"
        with self._database.writing() as session:
            digits = 2
            while session.get(RunRow, run := f"{slug}-{secrets.token_hex(digits)}") is not None:
                digits += 1
            row = RunRow(id=run, task_id=task.id, task=task.model_dump(mode="json"), seed=seed, settings=dict(settings))
            row.target_key, row.target, row.started = (
                target.key,
                target.model_dump(mode="json"),
                datetime.now(timezone.utc),
            )
            session.add(row)
        return run

    @contextmanager
    def locked(self, run: str) -> Iterator[None]:
        """Holds the run for this process. A process that was killed holds nothing.

        Raises:
            StoreError: another process holds it; names that process.
        """
        record = self.run(run)
        release = self._locks.acquire(run)
        if release is None:
            pid, _, host = self.run(run).owner.partition("@")
            raise StoreError(
                f"the run is being searched by process {pid} on {host}"
                if pid
                else "the run is being searched by another process",
                where=record.id,
                remedy=f"wait for it to end or stop it with `kill {pid}` on {host}" if pid else "wait for it to end",
            )
        try:
            with self._database.writing() as session:
                _row(session, run).owner = f"{os.getpid()}@{socket.gethostname()}"
            yield
        finally:
            release()

    def describe(self, run: str, signature: str | None, report: Mapping[str, Any]) -> None:
        """Adds what is known once the task was loaded: the signature that finds like tasks, and what a report needs."""
        with self._database.writing() as session:
            row = _row(session, run)
            row.signature, row.report = signature, dict(report)

    def propose(self, run: str, candidate: Candidate, params: Mapping[str, Any] | None = None) -> int:
        """Adds a candidate that the run has not yet, before it is evaluated; returns its number. Its replies count as
        used from then on, see `Answerer`."""
        with self._database.writing() as session:
            last = session.scalar(select(func.max(NodeRow.number)).where(NodeRow.run_id == run)) or 0
            if session.get(CandidateRow, candidate.id) is None:
                session.add(CandidateRow(id=candidate.id, source=candidate.source, language=candidate.language))
                session.flush()
            node = NodeRow(run_id=run, number=last + 1, candidate_id=candidate.id, proposer=candidate.proposer)
            node.parents, node.note, node.params = (
                list(candidate.parents),
                candidate.note,
                dict(params) if params else None,
            )
            session.add(node)
            if candidate.replies:
                taken(session, run, candidate.replies, candidate.id)
        return last + 1

    def verdict(self, candidate: str, task: str, target_key: str, judge: str) -> Verdict | None:
        """The newest verdict that the same judge gave on this candidate, task and target, in whatever run.

        Not one that does not last: that says more about the machine at that moment than about the candidate.
        """
        with self._database.reading() as session:
            found = session.scalar(
                select(VerdictRow.verdict)
                .where(VerdictRow.candidate_id == candidate, VerdictRow.task_id == task)
                .where(VerdictRow.target_key == target_key, VerdictRow.judge == judge)
                .order_by(VerdictRow.id.desc())
                .limit(1)
            )
        verdict = Verdict.model_validate(found) if found else None
        return verdict if verdict and verdict.lasting else None

    def evaluated(self, run: str, number: int, verdict: Verdict, judge: str, at: float) -> None:
        """Gives node `number` its verdict, `at` seconds into the run."""
        with self._database.writing() as session:
            node = session.get_one(NodeRow, (run, number))
            last = session.scalar(select(func.max(NodeRow.place)).where(NodeRow.run_id == run)) or 0
            node.verdict_id, node.at, node.place = _verdict_id(session, node.candidate_id, verdict, judge), at, last + 1

    def finish(
        self,
        run: str,
        outcome: Outcome,
        *,
        stopped: str,
        seconds: float,
        best: str | None,
        comparison: Mapping[str, Any] | None,
    ) -> None:
        """The search came to its own end: `best` is the winner's id, `comparison` the JSON of `Comparison`."""
        with self._database.writing() as session:
            row = _row(session, run)
            row.outcome, row.stopped, row.seconds, row.best_id = outcome, stopped, seconds, best
            row.comparison, row.finished = dict(comparison) if comparison else None, datetime.now(timezone.utc)

    def discard_empty(self, run: str) -> None:
        """Removes a run that failed before its first candidate and its first call of a model: there is nothing to
        resume or to show."""
        with self._database.writing() as session:
            rows = (select(table.number).where(table.run_id == run).limit(1) for table in (NodeRow, CallRow))
            if all(session.scalar(row) is None for row in rows):
                session.execute(delete(RunRow).where(RunRow.id == run))

    def call_log(self, run: str) -> CallLog:
        """The record of the run's calls of language models; to be made anew when the run is resumed."""
        return StoredCalls(self._database, run)

    def spent(self, run: str) -> Spent:
        """What the run's calls of language models took together."""
        budget = Budget(Limits())
        for call in self.call_log(run).past():
            budget.recall(call, Amount())
        return budget.spent

    def asked(self, run: str) -> dict[str, int]:
        """How many of the run's calls each model got, most first."""
        counted = select(CallRow.model, func.count()).where(CallRow.run_id == run).group_by(CallRow.model)
        with self._database.reading() as session:
            return {row[0]: row[1] for row in session.execute(counted.order_by(func.count().desc(), CallRow.model))}

    def calls(self, run: str) -> list[CallRecord]:
        """The run's calls of language models, in the order in which they began."""
        return records(self._database, run)

    def run(self, run: str) -> RunRecord:
        """One run."""
        with self._database.reading() as session:
            return self._records(session, [_row(session, run)])[0]

    def names(self) -> list[str]:
        """The names of all runs, newest first."""
        with self._database.reading() as session:
            return list(session.scalars(select(RunRow.id).order_by(RunRow.started.desc())))

    def runs(self, limit: int = 50) -> list[RunRecord]:
        """The newest runs, newest first."""
        with self._database.reading() as session:
            rows = session.scalars(select(RunRow).order_by(RunRow.started.desc()).limit(limit)).all()
            return self._records(session, rows)

    def nodes(self, run: str) -> list[NodeRecord]:
        """The run's candidates: the evaluated ones in the order in which their verdicts came, then the others."""
        with self._database.reading() as session:
            _row(session, run)
            rows = session.execute(
                select(NodeRow, CandidateRow, VerdictRow.verdict)
                .join(CandidateRow, NodeRow.candidate_id == CandidateRow.id)
                .outerjoin(VerdictRow, NodeRow.verdict_id == VerdictRow.id)
                .where(NodeRow.run_id == run)
                .order_by(NodeRow.place.is_(None), NodeRow.place, NodeRow.number)
            ).all()
            return [_node(*row) for row in rows]

    def past(
        self, task: str, signature: str | None, language: str, *, besides: str = "", limit: int = 20
    ) -> Sequence[Attempt]:
        """The best accepted attempts of earlier runs on the task, best first, then those on like tasks.

        Like is a task with the same `signature`. `besides` is a run to leave out.
        """
        same = self._past(RunRow.task_id == task, language, besides, limit)
        like = (
            self._past((RunRow.signature == signature) & (RunRow.task_id != task), language, besides, limit)
            if signature
            else []
        )
        return (same + like)[:limit]

    def _past(self, runs: Any, language: str, besides: str, limit: int) -> list[Attempt]:
        chosen: Select[Any] = (
            select(NodeRow, CandidateRow, VerdictRow.verdict)
            .join(RunRow, NodeRow.run_id == RunRow.id)
            .join(CandidateRow, NodeRow.candidate_id == CandidateRow.id)
            .join(VerdictRow, NodeRow.verdict_id == VerdictRow.id)
            .where(runs, VerdictRow.accepted, CandidateRow.language == language, RunRow.id != besides)
            .order_by(VerdictRow.speedup.desc().nulls_last(), VerdictRow.id)
            .limit(4 * limit)
        )
        with self._database.reading() as session:
            attempts = [_node(*row).attempt for row in session.execute(chosen)]
        return list({attempt.candidate.id: attempt for attempt in reversed(attempts)}.values())[::-1][:limit]

    def _records(self, session: Session, rows: Sequence[RunRow]) -> list[RunRecord]:
        counted = session.execute(
            select(NodeRow.run_id, func.count(), func.max(VerdictRow.speedup).filter(VerdictRow.accepted))
            .join(VerdictRow, NodeRow.verdict_id == VerdictRow.id)
            .where(NodeRow.run_id.in_([row.id for row in rows]))
            .group_by(NodeRow.run_id)
        )
        counts = {run: (evaluated, best) for run, evaluated, best in counted}
        return [self._record(row, *counts.get(row.id, (0, None))) for row in rows]

    def _record(self, row: RunRow, evaluated: int, best: float | None) -> RunRecord:
        finals = (each["speedup"] for each in (row.comparison or {}).get("rows", ()) if each["name"] == row.best_id)
        status: Status = "finished" if row.finished else "running" if self._locks.held(row.id) else "interrupted"
        same = ("id", "target_key", "target", "settings", "seed", "owner", "started", "finished", "seconds", "outcome",
                "stopped", "best_id", "comparison", "report")  # fmt: skip
        return RunRecord(
            task=Task.model_validate(row.task),
            status=status,
            evaluated=evaluated,
            speedup=next(finals, best),
            **{name: getattr(row, name) for name in same},
        )


def _row(session: Session, run: str) -> RunRow:
    row = session.get(RunRow, run)
    if row is None:
        raise UsageError(f"there is no run {run!r}", remedy="`kernelwright runs` lists them")
    return row


def _verdict_id(session: Session, candidate: str, verdict: Verdict, judge: str) -> int:
    """The row of a verdict: the one it was reused from, or a new one."""
    values: dict[str, Any] = {"candidate_id": candidate, "task_id": verdict.task, "target_key": verdict.target}
    values |= {"judge": judge, "verdict": verdict.model_dump(mode="json")}
    found = session.scalar(select(VerdictRow.id).filter_by(**values))
    if found is not None:
        return found
    row = VerdictRow(**values, accepted=verdict.accepted, speedup=verdict.speedup)
    session.add(row)
    session.flush()
    return row.id


def _node(node: NodeRow, candidate: CandidateRow, verdict: dict[str, Any] | None) -> NodeRecord:
    return NodeRecord(
        node.number,
        Candidate(
            source=candidate.source,
            language=candidate.language,
            proposer=node.proposer,
            parents=tuple(node.parents),
            note=node.note,
        ),
        node.params,
        node.at,
        Verdict.model_validate(verdict) if verdict else None,
    )
