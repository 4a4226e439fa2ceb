"""The calls of language models in a run: a `CallLog` in the database, and its records."""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from kernelwright.proposers.llm.call import CallFailed, CallRecord, PastCall, Prompt, Reason, Reply, Usage
from kernelwright.store.database import Database
from kernelwright.store.schema import CallRow, TextRow


class StoredCalls:
    """A `CallLog` of one run. What a method wrote is on the disk when it returns; each raises `StoreError`.

    Life cycle: made when a search begins or is resumed, which is what decides which calls are past.
    """

    def __init__(self, database: Database, run: str) -> None:
        self._database, self._run = database, run
        self._unused: defaultdict[str, deque[int]] = defaultdict(deque)
        with database.reading() as session:
            waiting = (
                select(CallRow.prompt_key, CallRow.number)
                .where(CallRow.run_id == run, CallRow.used.is_(False), CallRow.ended, CallRow.failure.is_(None))
                .order_by(CallRow.number)
            )
            for key, number in session.execute(waiting):
                self._unused[key].append(number)
            self._last = session.scalar(select(func.max(CallRow.number)).where(CallRow.run_id == run)) or 0

    def past(self) -> Sequence[PastCall]:
        """See `CallLog`."""
        chosen = (
            select(CallRow)
            .options(defer(CallRow.prompt), defer(CallRow.reply))
            .where(CallRow.run_id == self._run, CallRow.number <= self._last)
            .order_by(CallRow.number)
        )
        with self._database.reading() as session:
            return [
                PastCall(row.model, _failure(row), _usage(row), row.seconds, row.gain)
                for row in session.scalars(chosen)
            ]

    def begin(self, prompt: Prompt, model: str) -> int:
        """See `CallLog`."""
        with self._database.writing() as session:
            last = session.scalar(select(func.max(CallRow.number)).where(CallRow.run_id == self._run)) or 0
            row = CallRow(run_id=self._run, number=last + 1, prompt_key=prompt.key, purpose=prompt.purpose)
            row.template, row.model = prompt.template, model
            row.prompt = self._text_ids(session, (prompt.system, *prompt.turns))
            session.add(row)
        return last + 1

    def _text_ids(self, session: Session, texts: Sequence[str]) -> list[str]:
        """The ids of texts, which are added where the run has not got them yet."""
        by_id = {hashlib.sha256(text.encode()).hexdigest(): text for text in texts}
        known = session.scalars(select(TextRow.id).where(TextRow.run_id == self._run, TextRow.id.in_(by_id)))
        for missing in by_id.keys() - set(known):
            session.add(TextRow(run_id=self._run, id=missing, text=by_id[missing]))
        return [hashlib.sha256(text.encode()).hexdigest() for text in texts]

    def arrived(self, reply: Reply) -> None:
        """See `CallLog`."""
        with self._database.writing() as session:
            row = self._row(session, reply.call)
            row.ended, row.reply, row.finish, row.surprisal = True, reply.text, reply.finish, reply.surprisal
            row.input_tokens, row.output_tokens, row.cost_usd = reply.input_tokens, reply.output_tokens, reply.cost_usd
            row.seconds = reply.seconds

    def failed(self, call: int, failure: CallFailed, seconds: float) -> None:
        """See `CallLog`."""
        with self._database.writing() as session:
            row = self._row(session, call)
            row.ended, row.failure, row.detail, row.seconds = True, failure.reason, failure.detail, seconds
            if failure.usage:
                row.input_tokens, row.output_tokens = failure.usage.input_tokens, failure.usage.output_tokens
                row.cost_usd = failure.usage.cost_usd

    def unused(self, key: str) -> Reply | None:
        """See `CallLog`."""
        numbers = self._unused.get(key)
        if not numbers:
            return None
        with self._database.reading() as session:
            return _reply(self._row(session, numbers.popleft()))

    def used(self, call: int) -> None:
        """See `CallLog`."""
        with self._database.writing() as session:
            self._row(session, call).used = True

    def rewarded(self, call: int, gain: float) -> None:
        """See `CallLog`."""
        with self._database.writing() as session:
            self._row(session, call).gain = gain

    def _row(self, session: Session, call: int) -> CallRow:
        return session.get_one(CallRow, (self._run, call), options=[defer(CallRow.prompt), defer(CallRow.reply)])


def records(database: Database, run: str) -> list[CallRecord]:
    """All calls of a run, in the order in which they began."""
    with database.reading() as session:
        texts = {row.id: row.text for row in session.scalars(select(TextRow).where(TextRow.run_id == run))}
        rows = session.scalars(select(CallRow).where(CallRow.run_id == run).order_by(CallRow.number))
        return [_record(row, texts) for row in rows]


def _record(row: CallRow, texts: dict[str, str]) -> CallRecord:
    system, *turns = (texts[text] for text in row.prompt)
    return CallRecord(
        number=row.number,
        prompt=Prompt(system, tuple(turns), row.purpose, row.template),
        model=row.model,
        reply=None if _failure(row) else _reply(row),
        failure=_failure(row),
        detail=row.detail,
        usage=_usage(row),
        seconds=row.seconds,
        used=row.used,
        gain=row.gain,
    )


def _reply(row: CallRow) -> Reply:
    assert row.reply is not None
    assert row.input_tokens is not None
    assert row.output_tokens is not None
    return Reply(
        call=row.number,
        text=row.reply,
        model=row.model,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost_usd=row.cost_usd,
        seconds=row.seconds,
        finish=row.finish or "",
        surprisal=row.surprisal,
    )


def _failure(row: CallRow) -> Reason | None:
    return cast("Reason | None", row.failure) if row.ended else "cancelled"


def _usage(row: CallRow) -> Usage | None:
    if row.input_tokens is None or row.output_tokens is None:
        return None
    return Usage(row.input_tokens, row.output_tokens, row.cost_usd)
