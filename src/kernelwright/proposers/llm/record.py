"""The record of calls of language models as one JSON value: `calls --json` prints it, a replay answers from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from kernelwright import paths
from kernelwright.errors import UsageError
from kernelwright.home import keep
from kernelwright.proposers.llm.call import Answered, CallFailed, CallRecord, PastCall, Prompt, Reply, Usage


class Record(BaseModel):
    """All calls of a run, or of the drafting of a task, in the order in which they began; with all prompts and replies.

    `name` is the run's, or the words of the draft; `task` the task's name. `scaffold` and `seed` are those of the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    task: str
    scaffold: str | None = None
    seed: int | None = None
    calls: tuple[CallRecord, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What `calls --json` prints."""
        whole: dict[str, Any] = json.loads(self.model_dump_json())
        return whole


def find(source: str | Path) -> Path | None:
    """The file of this name; None where there is none, so that a run may be meant."""
    return Path(source) if paths.is_file(source) else None


def read(path: Path) -> Record:
    """The record in a file.

    Raises:
        UsageError: it cannot be read, or is no record.
    """
    try:
        return Record.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read the record of calls: {error.strerror}", where=str(path)) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"it is no record of calls: {f'{place}: ' if place else ''}{first['msg']}",
            where=str(path),
            remedy="`kernelwright calls RUN --json` writes one",
        ) from error


class RecordFile:
    """A `CallLog` in a file of its own, for calls outside runs. The file is whole at any moment; who asks makes a few
    calls, so it is written anew for each.

    Life cycle: made for a file that does not exist; the first call makes it. Each method raises `MachineError` where it
    cannot be written.
    """

    def __init__(self, path: Path, name: str, task: str) -> None:
        self._path, self._record = path, Record(name=name, task=task)

    def past(self) -> Sequence[PastCall]:
        """None: there was no earlier sitting."""
        return ()

    def unused(self) -> Sequence[tuple[Prompt, Reply]]:
        """None: there was no earlier sitting."""
        return ()

    def unrewarded(self) -> Sequence[tuple[Answered, str]]:
        """None: there was no earlier sitting."""
        return ()

    def begin(self, prompt: Prompt, model: str) -> int:
        """See `CallLog`. Until more is known the call counts as cancelled."""
        number = len(self._record.calls) + 1
        call = CallRecord(
            number=number, prompt=prompt, model=model, reply=None, failure="cancelled", detail="", usage=None,
            seconds=0.0, used=False, gain=None,
        )  # fmt: skip
        self._keep((*self._record.calls, call))
        return number

    def arrived(self, reply: Reply) -> None:
        """See `CallLog`."""
        usage = Usage(reply.input_tokens, reply.output_tokens, reply.cost_usd)
        self._change(reply.call, reply=reply, failure=None, usage=usage, seconds=reply.seconds)

    def failed(self, call: int, failure: CallFailed, seconds: float) -> None:
        """See `CallLog`."""
        self._change(call, failure=failure.reason, detail=failure.detail, usage=failure.usage, seconds=seconds)

    def used(self, call: int) -> None:
        """See `CallLog`."""
        self._change(call, used=True)

    def rewarded(self, calls: Sequence[int], gain: float) -> None:
        """See `CallLog`."""
        for call in calls:
            self._change(call, gain=gain)

    def _change(self, number: int, **facts: Any) -> None:
        calls = list(self._record.calls)
        calls[number - 1] = replace(calls[number - 1], **facts)
        self._keep(tuple(calls))

    def _keep(self, calls: tuple[CallRecord, ...]) -> None:
        self._record = self._record.model_copy(update={"calls": calls})
        keep(self._path, self._record.model_dump_json(indent=1), "the record of calls")
