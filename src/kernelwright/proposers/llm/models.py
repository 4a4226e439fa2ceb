"""Asking models: which one, within the limits, again where it is worth it, and everything on record."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernelwright.errors import UsageError
from kernelwright.proposers.llm.bandit import Bandit
from kernelwright.proposers.llm.call import (
    NOTHING,
    Answered,
    Answerer,
    BudgetSpent,
    CallFailed,
    CallLog,
    Left,
    PastCall,
    Prompt,
    Reason,
    Reply,
    Usage,
)
from kernelwright.proposers.llm.config import FILE, CallSettings, Configuration
from kernelwright.proposers.llm.limits import Amount, Budget, Limits, Spent
from kernelwright.proposers.llm.outage import passes

if TYPE_CHECKING:
    from kernelwright.proposers.llm.endpoint import Endpoint

_HOPELESS: frozenset[Reason] = frozenset({"auth", "quota"})


@dataclass
class _Arm:
    """A model, when it may be asked again (on the clock of `time.monotonic`), and why it never will be."""

    endpoint: Endpoint
    not_before: float = 0.0
    out: CallFailed | None = None


class Models(Answerer):
    """Language models, one or several, asked within limits; `spent` are the run's accounts.

    With several, a bandit chooses who is asked, and while one is told to wait the others are. What is worth repeating
    (no reply in time, too many requests, the endpoint's own errors, broken connections) is sent again, at first after
    `backoff_s` and a random part less, so that parallel calls do not come back together. Each request is one call, in
    the limits and on record. A model that refuses the key, or whose account is used up, is not asked again.
    """

    def __init__(self, endpoints: Sequence[Endpoint], *, limits: Limits, settings: CallSettings, log: CallLog) -> None:
        self._arms = {endpoint.spec: _Arm(endpoint) for endpoint in endpoints}
        self._bandit = Bandit(list(self._arms))
        self._budget, self._settings, self._log = Budget(limits), settings, log
        for call in log.past():
            self._budget.recall(call, self._most(call))
            self._bandit.asked(call.model)
            self._learn(call.model, call.usage, 0.0 if call.failure not in (None, "cancelled") else call.gain)

    @property
    def spent(self) -> Spent:
        """What the run's calls took so far, those of earlier sittings included."""
        return self._budget.spent

    @property
    def left(self) -> Left:
        """See `Answerer`."""
        return self._budget.left

    def unused(self) -> Sequence[tuple[Prompt, Reply]]:
        """See `Answerer`."""
        return self._log.unused()

    def unrewarded(self) -> Sequence[tuple[Answered, str]]:
        """See `Answerer`."""
        return self._log.unrewarded()

    async def ask(self, prompt: Prompt) -> Reply:
        """See `Answerer`."""
        said = ""
        for tried in itertools.count(1):
            arm = await self._choose()
            try:
                return await self._call(arm, prompt)
            except BudgetSpent as spent:
                raise BudgetSpent(f"{spent}{said}") from spent
            except CallFailed as failure:
                said = f"; the last one brought no reply: {failure}"
                self._note(arm, failure, tried)
                if not passes(failure) or tried == self._settings.tries:
                    raise
        raise AssertionError("there is at least one try")

    def used(self, reply: Reply) -> None:
        """See `Answerer`."""
        self._log.used(reply.call)

    def reward(self, replies: Sequence[Answered], gain: float) -> None:
        """See `Answerer`."""
        self._log.rewarded([reply.call for reply in replies], gain)
        for reply in replies:
            self._bandit.reward(reply.model, gain)

    async def close(self) -> None:
        """See `Answerer`."""
        for arm in self._arms.values():
            await arm.endpoint.close()

    def _most(self, call: PastCall) -> Amount:
        """What an earlier call may have taken that did not say how much; nothing where its model is no longer asked."""
        arm = self._arms.get(call.model)
        return arm.endpoint.most(call.prompt) if arm and call.prompt else Amount()

    async def _choose(self) -> _Arm:
        """The model to ask next, once there is one that may be asked."""
        while True:
            hopeful = {spec: arm for spec, arm in self._arms.items() if arm.out is None}
            if not hopeful:
                out = next(arm.out for arm in self._arms.values() if arm.out)
                raise CallFailed(out.reason, out.detail)
            now = time.monotonic()
            if ready := [spec for spec, arm in hopeful.items() if arm.not_before <= now]:
                return self._arms[self._bandit.choose(ready)]
            await asyncio.sleep(min(arm.not_before for arm in hopeful.values()) - now)

    async def _call(self, arm: _Arm, prompt: Prompt) -> Reply:
        spec = arm.endpoint.spec
        async with self._budget.room(arm.endpoint.most(prompt)) as room:
            call, started = self._log.begin(prompt, spec), time.monotonic()
            try:
                answer = await arm.endpoint.request(prompt)
            except (CallFailed, asyncio.CancelledError) as error:
                failure = error if isinstance(error, CallFailed) else CallFailed("cancelled", usage=None)
                seconds = time.monotonic() - started
                room.ended(failure.usage, seconds, failed=True)
                self._log.failed(call, failure, seconds)
                raise
            seconds, usage = time.monotonic() - started, answer.usage
            room.ended(usage, seconds, failed=False)
            reply = Reply(
                call=call,
                text=answer.text,
                model=spec,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cost_usd=usage.cost_usd,
                seconds=seconds,
                finish=answer.finish,
                surprisal=answer.surprisal,
                calls=answer.calls,
                private=answer.private,
            )
            self._log.arrived(reply)
        self._learn(spec, usage)
        return reply

    def _note(self, arm: _Arm, failure: CallFailed, tried: int) -> None:
        """What it says about the next calls that this one failed, at the so-many-th try."""
        self._learn(arm.endpoint.spec, failure.usage, gain=0.0)
        if failure.reason in _HOPELESS:
            arm.out = failure
        if passes(failure):
            wait = failure.retry_after
            if wait is None:
                wait = self._settings.backoff_s * 2.0 ** min(tried - 1, 30) * random.uniform(0.5, 1.0)
            again = time.monotonic() + min(wait, self._settings.longest_wait_s)
            arm.not_before = max(arm.not_before, again)

    def _learn(self, model: str, usage: Usage | None, gain: float | None = None) -> None:
        if usage and usage != NOTHING and usage.cost_usd is not None:
            self._bandit.paid(model, usage.cost_usd)
        if gain is not None:
            self._bandit.reward(model, gain)


def make(configuration: Configuration, log: CallLog) -> Models:
    """The models of a configuration.

    Raises:
        UsageError: the packages for models are not installed, a key is missing, a setting or a model has an impossible
            name, or there is a limit in USD for a model whose price nobody knows.
    """
    try:
        from kernelwright.proposers.llm.endpoint import Endpoint

        endpoints = [Endpoint(model, configuration.call) for model in configuration.models]
    except ImportError as error:
        raise UsageError(
            f"language models need the Python package {error.name or error}",
            remedy="install it with `pip install 'kernelwright[llm]'`",
        ) from error
    for endpoint in endpoints:
        if configuration.limits.usd is not None and not endpoint.priced:
            raise UsageError(
                f"a limit in USD cannot be kept, since the price of {endpoint.spec} is not known",
                remedy=f"add price = {{ input = USD, output = USD }} (for a million tokens) to the model in {FILE}",
            )
    return Models(endpoints, limits=configuration.limits, settings=configuration.call, log=log)
