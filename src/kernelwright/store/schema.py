"""The tables. One truth a fact: what follows from others (a run's status, a node's state) is not stored."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any, Literal

from sqlalchemy import BigInteger, DateTime, Dialect, ForeignKey, Index, Text, TypeDecorator, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA_VERSION = 4


class Json(TypeDecorator[Any]):
    """JSON as text, the same on every database. Unlike JSON columns it holds NaN and infinity, which errors can be."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's interface
        """To text."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's interface
        """From text."""
        return None if value is None else json.loads(value)


class Utc(TypeDecorator[datetime]):
    """A moment in UTC. SQLite forgets the time zone, so it is put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """With its time zone."""
        return value.replace(tzinfo=timezone.utc) if value is not None and value.tzinfo is None else value


Outcome = Literal["faster", "not_faster", "no_kernel"]


class Base(DeclarativeBase):
    """All tables."""

    type_annotation_map = {datetime: Utc, dict[str, Any]: Json, list[str]: Json, list[Any]: Json, str: Text}  # noqa: RUF012


class SchemaRow(Base):
    """One row: the version of the tables."""

    __tablename__ = "schema_version"
    version: Mapped[int] = mapped_column(primary_key=True)


class RunRow(Base):
    """A search. `signature` tells like tasks; `finished` is empty until the search came to its own end."""

    __tablename__ = "runs"
    __table_args__ = (Index("runs_by_task", "task_id"), Index("runs_by_signature", "signature"))
    id: Mapped[str] = mapped_column(primary_key=True)
    task_id: Mapped[str]
    task: Mapped[dict[str, Any]]
    target_key: Mapped[str]
    target: Mapped[dict[str, Any]]
    settings: Mapped[dict[str, Any]]
    seed: Mapped[int]
    started: Mapped[datetime]
    owner: Mapped[str] = mapped_column(default="")
    signature: Mapped[str | None]
    report: Mapped[dict[str, Any] | None]
    finished: Mapped[datetime | None]
    seconds: Mapped[float | None]
    outcome: Mapped[Outcome | None] = mapped_column(Text)
    stopped: Mapped[str | None]
    best_id: Mapped[str | None] = mapped_column(ForeignKey("candidates.id"))
    comparison: Mapped[dict[str, Any] | None]


class CandidateRow(Base):
    """A source text, stored once whoever proposes it."""

    __tablename__ = "candidates"
    id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    language: Mapped[str]


class VerdictRow(Base):
    """What the judge said about a candidate on a task and target; never changed.

    `judge` names the judge, since another one judges anew. `accepted` and `speedup` repeat the verdict's, to search by.
    """

    __tablename__ = "verdicts"
    __table_args__ = (Index("verdicts_by_key", "candidate_id", "task_id", "target_key", "judge"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    candidate_id: Mapped[str] = mapped_column(ForeignKey("candidates.id"))
    task_id: Mapped[str]
    target_key: Mapped[str]
    judge: Mapped[str]
    accepted: Mapped[bool]
    speedup: Mapped[float | None]
    verdict: Mapped[dict[str, Any]]


class NodeRow(Base):
    """A candidate in a run's graph: proposed, then evaluated once it has a verdict.

    `number` counts from 1 in the order in which evaluations began, `place` in the order in which verdicts came;
    `at` is the second of the run at which the verdict came.
    """

    __tablename__ = "nodes"
    __table_args__ = (UniqueConstraint("run_id", "candidate_id"), Index("nodes_by_place", "run_id", "place"))
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    candidate_id: Mapped[str] = mapped_column(ForeignKey("candidates.id"))
    proposer: Mapped[str]
    parents: Mapped[list[str]]
    note: Mapped[str]
    params: Mapped[dict[str, Any] | None]
    place: Mapped[int | None]
    at: Mapped[float | None]
    verdict_id: Mapped[int | None] = mapped_column(ForeignKey("verdicts.id"))


class CallRow(Base):
    """A call of a language model; `number` counts from 1 in the order in which calls began.

    `ended` is false while nobody knows how it went, and in a call that was under way when its process ended. Empty
    tokens: the endpoint may have charged and did not say how much. `prompt` lists the `TextRow`s of the tools (empty
    where there are none), the system text and the turns; with tools they and the turns are JSON. `calls` has id, name
    and arguments of each tool that the reply calls, `candidate` the id of the one that came of it. Long texts come
    last, so that the rest is read without them.
    """

    __tablename__ = "calls"
    __table_args__ = (Index("calls_unused", "run_id", "used"),)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    purpose: Mapped[str]
    template: Mapped[str]
    model: Mapped[str]
    ended: Mapped[bool] = mapped_column(default=False)
    failure: Mapped[str | None]
    detail: Mapped[str] = mapped_column(default="")
    input_tokens: Mapped[int | None] = mapped_column(BigInteger)
    output_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cost_usd: Mapped[float | None]
    seconds: Mapped[float] = mapped_column(default=0.0)
    finish: Mapped[str | None]
    surprisal: Mapped[float | None]
    used: Mapped[bool] = mapped_column(default=False)
    candidate: Mapped[str | None]
    gain: Mapped[float | None]
    base: Mapped[list[str]]
    prompt: Mapped[list[str]]
    reply: Mapped[str | None]
    calls: Mapped[list[Any] | None]
    private: Mapped[str] = mapped_column(default="")


class TextRow(Base):
    """A text of a run's prompts, stored once a run: system texts and earlier turns come again and again."""

    __tablename__ = "texts"
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]
