"""What calls may cost together, and what they did cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from kernelwright.proposers.llm.call import BudgetSpent, Left, PastCall, Usage


class Limits(BaseModel):
    """What a run's calls may take together; None: no bound.

    `calls` counts requests that are sent, repeated ones too; `tokens` those of prompts and replies; `usd` money, for
    models with a known price; `seconds` the time spent waiting for replies, of all calls added up, after which no
    further call begins.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)


@dataclass
class Spent:
    """A run's accounts: exactly what was reported.

    `unreported` counts calls that may have been charged for without saying how much, `unpriced` those with tokens but
    without a known price.
    """

    calls: int = 0
    failed: int = 0
    unreported: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0

    def ended(self, usage: Usage | None, seconds: float, *, failed: bool) -> None:
        """Adds what a call took."""
        self.failed += failed
        self.seconds += seconds
        if usage is None:
            self.unreported += 1
            return
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.usd += usage.cost_usd or 0.0
        self.unpriced += usage.cost_usd is None


@dataclass(frozen=True)
class Amount:
    """Tokens and money that count against the limits."""

    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.tokens + other.tokens, self.usd + other.usd)


class Reservation:
    """The most that a call may take, held while its block is open. Unless `ended` says how much it took, all of it
    stays charged."""

    def __init__(self, most: Amount, spent: Spent) -> None:
        self.most = self.charged = most
        self._spent = spent

    def ended(self, usage: Usage | None, seconds: float, *, failed: bool) -> None:
        """What the call took; None stays charged at the most, since the endpoint may have charged that."""
        self._spent.ended(usage, seconds, failed=failed)
        if usage:
            self.charged = _amount(usage)


class Budget:
    """Keeps a run within its limits and its accounts in `spent`.

    Life cycle: made once a run; `recall` for each call of earlier sittings; then a `room` for each call. Calls that run
    in parallel cannot overspend together, since each reserves the most that it may take.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits, self.spent = limits, Spent()
        self._charged = Amount()
        self._open: list[Reservation] = []
        self._changed = asyncio.Event()

    def recall(self, call: PastCall, most: Amount) -> None:
        """Counts a call of an earlier sitting, at the `most` that it may have taken where that is not known."""
        self.spent.calls += 1
        self.spent.ended(call.usage, call.seconds, failed=call.failure is not None)
        self._charged += _amount(call.usage) if call.usage else most

    @property
    def left(self) -> Left:
        """What is neither spent nor reserved."""
        limits, spent = self.limits, self.spent
        taken = sum((reservation.most for reservation in self._open), self._charged)
        return Left(
            None if limits.calls is None else max(0, limits.calls - spent.calls),
            None if limits.tokens is None else max(0, limits.tokens - taken.tokens),
            None if limits.usd is None else max(0.0, limits.usd - taken.usd),
            None if limits.seconds is None else max(0.0, limits.seconds - spent.seconds),
        )

    @asynccontextmanager
    async def room(self, most: Amount) -> AsyncIterator[Reservation]:
        """A block for one call, entered once calls that are under way leave room for it.

        Raises:
            BudgetSpent: there is no room and there will be none.
        """
        while self._reached(most, *(reservation.most for reservation in self._open)):
            if reached := self._reached(most):
                raise BudgetSpent(reached)
            await self._changed.wait()
        reservation = Reservation(most, self.spent)
        self.spent.calls += 1
        self._open.append(reservation)
        try:
            yield reservation
        finally:
            self._open.remove(reservation)
            self._charged += reservation.charged
            self._changed.set()
            self._changed = asyncio.Event()

    def _reached(self, *more: Amount) -> str | None:
        """The limit that would be broken by so much more, in words."""
        if self.limits.calls is not None and self.spent.calls >= self.limits.calls:
            return f"all {self.limits.calls} calls are made"
        if self.limits.seconds is not None and self.spent.seconds >= self.limits.seconds:
            return f"the {self.limits.seconds:g} s for waiting are over"
        total = sum(more, self._charged)
        if self.limits.tokens is not None and total.tokens > self.limits.tokens:
            return f"one more call could go beyond the limit of {self.limits.tokens:,} tokens"
        if self.limits.usd is not None and total.usd > self.limits.usd:
            return f"one more call could go beyond the limit of {self.limits.usd:g} USD"
        return None


def _amount(usage: Usage) -> Amount:
    return Amount(usage.input_tokens + usage.output_tokens, usage.cost_usd or 0.0)
