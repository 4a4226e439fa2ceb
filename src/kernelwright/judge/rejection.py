"""How a stage says no: a typed reason with evidence. It never leaves the judge as an exception; it becomes a
verdict."""

from __future__ import annotations

from typing import Any

from kernelwright.judge.process import WorkerBroken, WorkerGone, WorkerRefused, WorkerTimeout
from kernelwright.judge.verdict import Reason


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
    if isinstance(error, WorkerTimeout):
        return Rejection("timed_out", f"it gave {error}", output=output)
    if isinstance(error, WorkerBroken):
        return Rejection(
            "tampering", f"it broke the protocol between the judge and its process: {error}", output=output
        )
    if isinstance(error, WorkerGone):
        how = error.signal_name or f"exit status {error.status}"
        reason: Reason = "over_limit" if error.signal_name == "SIGKILL" else "crashed"
        return Rejection(reason, f"its process ended ({how})", output=error.output)
    assert isinstance(error, WorkerRefused)
    details = error.details
    text = f"{details.get('type', '')}: {details.get('message', '')}".strip(": ")
    evidence = {key: details[key] for key in ("line", "trace") if details.get(key)}
    first = text.splitlines()[0] if text else "it raised"
    if details.get("kind") == "memory":
        return Rejection("over_limit", f"it asked for more memory than it may have: {first}", output=output, **evidence)
    return Rejection("does_not_load" if loading else "crashed", first, output=output, **evidence)
