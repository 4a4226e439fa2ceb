"""How a stage says no: a typed reason with evidence. It never leaves the judge as an exception; it becomes a
verdict. What the task itself does wrong is an error for the user."""

from __future__ import annotations

from typing import Any

from kernelwright.errors import TaskError
from kernelwright.judge.endings import WorkerBroken, WorkerGone, WorkerRefused, WorkerTimeout
from kernelwright.judge.verdict import Reason
from kernelwright.tasks import Task

_WORDS = 8000
"""Characters of what a worker says that are kept."""


class Rejection(Exception):
    """The candidate is rejected: the reason, one line for people, and evidence to act on."""

    def __init__(self, reason: Reason, message: str, **evidence: Any) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.evidence = evidence


WorkerFailure = (WorkerGone, WorkerTimeout, WorkerBroken, WorkerRefused)
"""What a call to a candidate's worker may raise; `rejection` turns each into a reason."""


def rejection(error: Exception, output: str, *, loading: bool) -> Rejection:
    """The rejection that a candidate's worker earned by failing in this way.

    Args:
        error: one of `WorkerFailure`.
        output: the last lines that the worker printed.
        loading: whether the module was being loaded or constructed, rather than run.
    """
    output = plain(output)
    if isinstance(error, WorkerTimeout):
        return Rejection("timed_out", f"it gave {error}", output=output)
    if isinstance(error, WorkerBroken):
        return Rejection(
            "tampering", f"it broke the protocol between the judge and its process: {error}", output=output
        )
    if isinstance(error, WorkerGone):
        output = plain(error.output)
        if error.why:
            return Rejection("over_limit", error.why, output=output)
        how = error.signal_name or f"exit status {error.status}"
        reason: Reason = "over_limit" if error.signal_name == "SIGKILL" else "crashed"
        return Rejection(reason, f"its process ended ({how})", output=output)
    assert isinstance(error, WorkerRefused)
    details = error.details
    text = plain(f"{details.get('type', '')}: {details.get('message', '')}".strip(": ")[:_WORDS])
    line = details.get("line")
    evidence: dict[str, Any] = {"line": line} if isinstance(line, int) and 0 < line < 1 << 31 else {}
    if details.get("trace"):
        evidence["trace"] = plain(str(details["trace"])[-_WORDS:])
    first = text.splitlines()[0] if text else "it raised"
    if details.get("kind") == "memory":
        return Rejection("over_limit", f"it asked for more memory than it may have: {first}", output=output, **evidence)
    return Rejection("does_not_load" if loading else "crashed", first, output=output, **evidence)


def plain(text: str) -> str:
    """Without control characters: a terminal would obey them, and a database refuses some."""
    return "".join(char if char.isprintable() or char in "\n\t" else "?" for char in text)


def task_error(task: Task, details: dict[str, Any]) -> TaskError:
    """A task worker's refusal as an error for the user."""
    line = details.get("line")
    where = f"{task.source.filename}:{line}" if line else task.source.filename
    kind, message = details.get("kind", ""), str(details.get("message", "")).strip()
    what = f"{details['type']}: {message}" if details.get("type") else message
    if kind == "memory":
        return TaskError(what, where=where, remedy=str(details.get("remedy") or "make the inputs smaller"))
    return TaskError(
        what.splitlines()[0] if what else "it does not run",
        where=where,
        remedy=str(details.get("remedy") or "run the file by itself to see the whole error"),
    )
