"""A call of a language model: what is sent, what arrives, how it can fail, and where it is recorded."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Reason = Literal[
    "timeout",
    "rate_limited",
    "quota",
    "server",
    "disconnected",
    "garbled",
    "flood",
    "refused",
    "empty",
    "too_long",
    "auth",
    "bad_request",
    "cancelled",
]
"""Why a call failed: no reply in time; too many requests; the account is used up; the endpoint's own error; the
connection broke or was never made; no valid reply; a reply above the size limit; the model declined; a reply without
text; the prompt does not fit the model; no or a wrong key; the endpoint does not take the request (say, a wrong model
name); cancelled from our side."""


def clean(text: str) -> str:
    """The text without what no database and no wire takes: lone surrogates and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "�")


@dataclass(frozen=True)
class Prompt:
    """What is sent: the system text, then user and assistant texts in turn, a user's first and last.

    `purpose` names the role that asks, `template` the hash of the template files that the texts were made from.
    """

    system: str
    turns: tuple[str, ...]
    purpose: str
    template: str = ""

    def __post_init__(self) -> None:
        if len(self.turns) % 2 == 0:
            raise ValueError("a prompt begins and ends with a user's turn")
        object.__setattr__(self, "system", clean(self.system))
        object.__setattr__(self, "turns", tuple(map(clean, self.turns)))

    @property
    def key(self) -> str:
        """32 hex digits of purpose and texts: prompts with the same key may be answered by the same reply."""
        return hashlib.sha256(json.dumps([self.purpose, self.system, *self.turns]).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Usage:
    """What a call took; `cost_usd` is None where nobody knows the model's price."""

    input_tokens: int
    output_tokens: int
    cost_usd: float | None


@dataclass(frozen=True)
class Reply:
    """What arrived.

    `call` is its number in the run's log and `model` the spec of the model that was asked. Tokens are those that the
    endpoint reported, else a guess from the texts' lengths. `finish` is why the model stopped: `stop`, or `length` for
    a text that was cut off at `max_tokens`. `surprisal` is the mean negative log-likelihood of the reply's tokens in
    nats, where the endpoint gives log-probabilities.
    """

    call: int
    text: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    seconds: float
    finish: str
    surprisal: float | None


NOTHING = Usage(0, 0, 0.0)


class CallFailed(Exception):
    """A call that brought no reply. `detail` is short, of one line, and free of keys.

    `usage` is what the endpoint charged nevertheless; None where it may have charged and did not say how much.
    `retry_after` are the seconds that the endpoint asked to wait.
    """

    def __init__(
        self, reason: Reason, detail: str = "", *, usage: Usage | None = NOTHING, retry_after: float | None = None
    ) -> None:
        self.reason, self.detail, self.usage, self.retry_after = reason, detail, usage, retry_after
        super().__init__(f"{reason}: {detail}" if detail else reason)


class BudgetSpent(Exception):
    """The next call might go beyond a limit; the text names the limit. Nothing was sent."""


@dataclass(frozen=True)
class CallRecord:
    """A call as it was recorded: `reply` where one arrived, else `failure` and its `detail`.

    A call whose process ended before it did counts as cancelled. `usage` is as in `CallFailed`. `used` says whether the
    reply was taken over and `gain` what came of it.
    """

    number: int
    prompt: Prompt
    model: str
    reply: Reply | None
    failure: Reason | None
    detail: str
    usage: Usage | None
    seconds: float
    used: bool
    gain: float | None


@dataclass(frozen=True)
class PastCall:
    """What limits and the bandit need to know of an earlier call: `usage` as in `CallFailed`, `gain` None where nothing
    is known of what came of it. One whose process ended before it did counts as cancelled."""

    model: str
    failure: Reason | None
    usage: Usage | None
    seconds: float
    gain: float | None


class CallLog(Protocol):
    """Where a run's calls are recorded; each method is durable when it returns."""

    def past(self) -> Sequence[PastCall]:
        """The calls before this process, oldest first."""

    def begin(self, prompt: Prompt, model: str) -> int:
        """A call that is about to be made; returns its number."""

    def arrived(self, reply: Reply) -> None:
        """The reply to call `reply.call`."""

    def failed(self, call: int, failure: CallFailed, seconds: float) -> None:
        """The call failed after so many seconds."""

    def unused(self, key: str) -> Reply | None:
        """A reply to this prompt that arrived before this process began and that nobody has used; each only once."""

    def used(self, call: int) -> None:
        """What the reply said was taken over: it need not be handed out again."""

    def rewarded(self, call: int, gain: float) -> None:
        """What came of the reply."""


class Answerer(ABC):
    """Who answers prompts: models, or the record of an earlier run.

    Life cycle: made once a run; `ask` as often and as concurrently as you like; `used` once what a reply said is stored
    elsewhere, so that a resumed run does not get it again; `reward` at most once a reply; `close` at the end, or
    `async with`.
    """

    @abstractmethod
    async def ask(self, prompt: Prompt) -> Reply:
        """The reply to a prompt.

        Raises:
            CallFailed: there is none; the run can go on.
            BudgetSpent: a limit is reached; asking again is of no use.
            StoreError: the record cannot be written.
        """

    @abstractmethod
    def used(self, reply: Reply) -> None:
        """What the reply said was taken over."""

    @abstractmethod
    def reward(self, reply: Reply, gain: float) -> None:
        """What came of the reply: how much better than its parent, 0 for nothing; see `Bandit`."""

    @abstractmethod
    async def close(self) -> None:
        """Closes connections."""

    async def __aenter__(self) -> Answerer:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
