"""The calls of language models in a run: a `CallLog` in the database, and its records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, cast

from sqlalchemy import Update, func, select, update
from sqlalchemy.orm import Session, defer

from kernelwright.proposers.llm.call import (
    Answered,
    CallFailed,
    Calling,
    CallRecord,
    PastCall,
    Prompt,
    Reason,
    Reply,
    Results,
    Tool,
    ToolCall,
    Turn,
    Usage,
)
from kernelwright.store.database import Database
from kernelwright.store.schema import CallRow, TextRow

_LONG = (CallRow.prompt, CallRow.reply, CallRow.calls, CallRow.private)


class StoredCalls:
    """A `CallLog` of one run. What a method wrote is on the disk when it returns; each raises `StoreError`.

    Life cycle: made when a search begins or is resumed, which is what decides which calls are past.
    """

    def __init__(self, database: Database, run: str) -> None:
        self._database, self._run = database, run
        with database.reading() as session:
            self._last = session.scalar(select(func.max(CallRow.number)).where(CallRow.run_id == run)) or 0

    def past(self) -> Sequence[PastCall]:
        """See `CallLog`."""
        chosen = (
            select(CallRow)
            .options(*map(defer, _LONG))
            .where(CallRow.run_id == self._run, CallRow.number <= self._last)
            .order_by(CallRow.number)
        )
        with self._database.reading() as session:
            rows = list(session.scalars(chosen))
            unknown = self._prompts(session, [row for row in rows if _usage(row) is None])
            return [
                PastCall(row.model, _failure(row), _usage(row), row.seconds, row.gain, unknown.get(row.number))
                for row in rows
            ]

    def begin(self, prompt: Prompt, model: str) -> int:
        """See `CallLog`."""
        with self._database.writing() as session:
            last = session.scalar(select(func.max(CallRow.number)).where(CallRow.run_id == self._run)) or 0
            row = CallRow(run_id=self._run, number=last + 1, purpose=prompt.purpose, base=list(prompt.base))
            row.template, row.model = prompt.template, model
            row.prompt = self._text_ids(session, _texts(prompt))
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
        same = ("finish", "surprisal", "input_tokens", "output_tokens", "cost_usd", "seconds", "private")
        facts = {name: getattr(reply, name) for name in same}
        calls = [[call.id, call.name, call.arguments] for call in reply.calls] or None
        self._change([reply.call], ended=True, reply=reply.text, calls=calls, **facts)

    def failed(self, call: int, failure: CallFailed, seconds: float) -> None:
        """See `CallLog`."""
        usage = asdict(failure.usage) if failure.usage else {}
        self._change([call], ended=True, failure=failure.reason, detail=failure.detail, seconds=seconds, **usage)

    def unused(self) -> list[tuple[Prompt, Reply]]:
        """See `CallLog`."""
        waiting = (
            select(CallRow)
            .where(CallRow.run_id == self._run, CallRow.used.is_(False), CallRow.ended, CallRow.failure.is_(None))
            .where(CallRow.number <= self._last)
            .order_by(CallRow.number)
        )
        with self._database.reading() as session:
            rows = list(session.scalars(waiting))
            prompts = self._prompts(session, rows)
            return [(prompts[row.number], _reply(row)) for row in rows]

    def _prompts(self, session: Session, rows: Sequence[CallRow]) -> dict[int, Prompt]:
        """The prompts of some calls, by their numbers."""
        ids = {text for row in rows for text in row.prompt}
        wanted = select(TextRow).where(TextRow.run_id == self._run, TextRow.id.in_(ids))
        texts = {row.id: row.text for row in session.scalars(wanted)}
        return {row.number: _prompt(row, texts) for row in rows}

    def unrewarded(self) -> list[tuple[Answered, str]]:
        """See `CallLog`."""
        waiting = (
            select(CallRow.number, CallRow.model, CallRow.candidate)
            .where(CallRow.run_id == self._run, CallRow.ended, CallRow.failure.is_(None), CallRow.gain.is_(None))
            .where(CallRow.number <= self._last)
            .order_by(CallRow.number)
        )
        with self._database.reading() as session:
            return [(Answered(call, model), led or "") for call, model, led in session.execute(waiting)]

    def used(self, call: int) -> None:
        """See `CallLog`."""
        self._change([call], used=True)

    def rewarded(self, calls: Sequence[int], gain: float) -> None:
        """See `CallLog`."""
        self._change(calls, gain=gain)

    def _change(self, numbers: Sequence[int], **facts: Any) -> None:
        with self._database.writing() as session:
            session.execute(_chosen(self._run, numbers).values(facts))


def taken(session: Session, run: str, calls: Sequence[int], candidate: str) -> None:
    """The run takes a candidate that came of the replies to these calls, which counts as their use. Not so where a
    reply calls tools: its conversation goes on from it."""
    session.execute(_chosen(run, calls).values(candidate=candidate, used=CallRow.used | CallRow.calls.is_(None)))


def _chosen(run: str, calls: Sequence[int]) -> Update:
    return update(CallRow).where(CallRow.run_id == run, CallRow.number.in_(calls))


def records(database: Database, run: str) -> list[CallRecord]:
    """All calls of a run, in the order in which they began."""
    with database.reading() as session:
        texts = {row.id: row.text for row in session.scalars(select(TextRow).where(TextRow.run_id == run))}
        rows = session.scalars(select(CallRow).where(CallRow.run_id == run).order_by(CallRow.number))
        return [_record(row, texts) for row in rows]


def _record(row: CallRow, texts: dict[str, str]) -> CallRecord:
    return CallRecord(
        number=row.number,
        prompt=_prompt(row, texts),
        model=row.model,
        reply=None if _failure(row) else _reply(row),
        failure=_failure(row),
        detail=row.detail,
        usage=_usage(row),
        seconds=row.seconds,
        used=row.used,
        gain=row.gain,
        candidate=row.candidate or "",
    )


def _texts(prompt: Prompt) -> list[str]:
    """Tools, which may be empty, system text and turns."""
    if not prompt.tools:
        return ["", prompt.system, *map(str, prompt.turns)]
    tools = json.dumps([asdict(tool) for tool in prompt.tools])
    turns = (json.dumps(turn if isinstance(turn, str) else asdict(turn)) for turn in prompt.turns)
    return [tools, prompt.system, *turns]


def _prompt(row: CallRow, texts: dict[str, str]) -> Prompt:
    """What `_texts` made of a prompt, as it was."""
    tools, system, *turns = (texts[text] for text in row.prompt)
    if not tools:
        return Prompt(system, tuple(turns), row.purpose, row.template, tuple(row.base))
    offered = tuple(Tool(**tool) for tool in json.loads(tools))
    return Prompt(system, tuple(map(_turn, turns)), row.purpose, row.template, tuple(row.base), offered)


def _turn(text: str) -> Turn:
    turn = json.loads(text)
    if isinstance(turn, str):
        return turn
    if "results" in turn:
        return Results(tuple(turn["results"]), turn["text"], turn.get("left", ""))
    return Calling(turn["text"], tuple(ToolCall(**call) for call in turn["calls"]), turn["private"])


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
        calls=tuple(ToolCall(*call) for call in row.calls or ()),
        private=row.private,
    )


def _failure(row: CallRow) -> Reason | None:
    return cast("Reason | None", row.failure) if row.ended else "cancelled"


def _usage(row: CallRow) -> Usage | None:
    if row.input_tokens is None or row.output_tokens is None:
        return None
    return Usage(row.input_tokens, row.output_tokens, row.cost_usd)
