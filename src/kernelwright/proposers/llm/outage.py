"""Calls that fail one after the other: how long to wait, and when to give up."""

from __future__ import annotations

import time

from kernelwright.errors import MachineError
from kernelwright.proposers.llm.call import CallFailed, Reason

PAUSE_S = 30.0
"""In an outage, between one try and the next."""
OUTAGE_S = 900.0
"""How long after the last reply of a model that has replied before an outage may still pass."""
_PASSING: frozenset[Reason] = frozenset({"timeout", "rate_limited", "server", "disconnected"})


class Outages:
    """Life cycle: made once a run, with how many failures in a row make an outage; each call has been repeated by then
    where that is worth it. Told of all replies by `heard` and of all failures by `failed`; before the next try
    `pause_s` seconds are to pass, which is 0 where there is no outage."""

    def __init__(self, failures: int) -> None:
        self._most, self._failures = failures, 0
        self._heard: float | None = None

    @property
    def pause_s(self) -> float:
        """How long to wait before the next try."""
        return PAUSE_S if self._failures >= self._most else 0.0

    def heard(self) -> None:
        """A reply has arrived."""
        self._failures, self._heard = 0, time.monotonic()

    def failed(self, failure: CallFailed) -> None:
        """No reply has arrived.

        Raises:
            MachineError: there is an outage, which will not pass or has not for a while.
        """
        self._failures += 1
        recently = self._heard is not None and time.monotonic() - self._heard < OUTAGE_S
        if self._failures >= self._most and not (passes(failure) and recently):
            raise MachineError(
                f"{self._failures} times in a row there was no reply: {failure}",
                where="language model",
                remedy="`kernelwright calls` lists what was asked",
            ) from failure


def passes(failure: CallFailed) -> bool:
    """Whether it may go better later."""
    return failure.reason in _PASSING
