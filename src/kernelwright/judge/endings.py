"""How asking a worker ends other than with an answer."""

from __future__ import annotations

import contextlib
import signal
from typing import Any, TypeVar


class WorkerGone(Exception):
    """The worker's process ended while it was asked something. `status` is its exit status: 128 + n for signal n.

    `why` says for what the judge itself has ended it, if it has.
    """

    def __init__(self, status: int | None, output: str, why: str = "") -> None:
        super().__init__(f"ended with status {status}")
        self.status, self.output, self.why = status, output, why

    @property
    def signal_name(self) -> str:
        """The signal that ended it, or an empty string."""
        if self.status is None or self.status <= 128:
            return ""
        with contextlib.suppress(ValueError):
            return signal.Signals(self.status - 128).name
        return f"signal {self.status - 128}"


class WorkerTimeout(Exception):
    """The worker did not answer in time; it has been killed."""


class WorkerBroken(Exception):
    """The worker broke the protocol; it has been killed."""


class WorkerRefused(Exception):
    """The worker answered with an error of the task's or the candidate's making; `details` is what it said."""

    def __init__(self, details: dict[str, Any]) -> None:
        super().__init__(str(details.get("message", "")))
        self.details = details
        self.kind = str(details.get("kind", ""))


Ending = TypeVar("Ending", WorkerGone, WorkerTimeout, WorkerBroken)
"""Those after which the worker is no more."""


def accepted(reply: dict[str, Any]) -> dict[str, Any]:
    """The reply, if it is no error. Raises `WorkerRefused`."""
    if "error" in reply:
        raise WorkerRefused(reply["error"] if isinstance(reply["error"], dict) else {"message": str(reply["error"])})
    return reply
