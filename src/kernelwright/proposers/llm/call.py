"""A call of a language model: what is sent, what arrives, how it can fail, and where it is recorded."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

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
connection broke or was never made; no valid reply; a reply above the size limit; the model declined; a reply with
neither text nor calls of tools; the prompt does not fit the model; no or a wrong key; the endpoint does not take the
request (say, a wrong model name); cancelled from our side."""


def clean(text: str) -> str:
    """The text without what no database and no wire takes: lone surrogates and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "�")


@dataclass(frozen=True)
class Tool:
    """What a model may call. `parameters` is the JSON schema of its arguments, an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class ToolCall:
    """A model's call of a tool. `arguments` is the JSON text of an object, which may hold anything."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Calling:
    """A model's turn that calls tools. `private` is what its endpoint wants back of it besides (thinking, signatures),
    in a form of `Endpoint`'s; empty where there is nothing."""

    text: str
    calls: tuple[ToolCall, ...]
    private: str = ""


@dataclass(frozen=True)
class Results:
    """The user's turn after it: the result of each call, in their order, what else there is to say, and `left`, what
    the limits leave, which is no part of what was asked: it differs from run to run."""

    results: tuple[str, ...]
    text: str = ""
    left: str = ""


Turn = str | Calling | Results


@dataclass(frozen=True)
class Prompt:
    """What is sent: the system text, then turns of user and assistant, a user's first and last, and the tools that the
    model may call.

    A turn is a text, or, where tools are called, a `Calling` and the `Results` after it. `purpose` names the role that
    asks, `template` the hash of the template files that the texts were made from, `base` the candidates that the reply
    builds on: what it changes, it changes in the first.
    """

    system: str
    turns: tuple[Turn, ...]
    purpose: str
    template: str = ""
    base: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()

    def __post_init__(self) -> None:
        if len(self.turns) % 2 == 0 or not isinstance(self.turns[0], str):
            raise ValueError("a prompt begins with a user's text and ends with a user's turn")
        if not self.tools and not all(isinstance(turn, str) for turn in self.turns):
            raise ValueError("calls of tools need tools")
        for said, asked in zip(self.turns[1::2], self.turns[2::2], strict=True):
            called = len(said.calls) if isinstance(said, Calling) else None
            if called != (len(asked.results) if isinstance(asked, Results) else None):
                raise ValueError("each call of a tool has a result in the next turn")
        object.__setattr__(self, "system", clean(self.system))
        object.__setattr__(self, "turns", tuple(map(_cleaned, self.turns)))

    @property
    def opening(self) -> str:
        """The first turn, which is always a text."""
        assert isinstance(self.turns[0], str)
        return self.turns[0]

    @property
    def key(self) -> str:
        """32 hex digits of all that is asked: prompts with the same key may be answered by the same reply."""
        turns = [turn if isinstance(turn, str) else _asked(turn) for turn in self.turns]
        sent = [self.purpose, self.system, *turns, *([asdict(tool)] for tool in self.tools)]
        return hashlib.sha256(json.dumps(sent).encode()).hexdigest()[:32]

    @property
    def texts(self) -> list[str]:
        """All texts that are sent, for whoever counts them."""
        tools = [json.dumps([asdict(tool) for tool in self.tools])] if self.tools else []
        return [self.system, *(text for turn in self.turns for text in texts_of(turn)), *tools]


def texts_of(turn: Turn) -> Iterator[str]:
    """The texts of a turn."""
    if isinstance(turn, str):
        yield turn
        return
    yield turn.text
    if isinstance(turn, Results):
        yield from (*turn.results, turn.left)
    else:
        yield turn.private
        yield from (text for call in turn.calls for text in (call.name, call.arguments))


def _asked(turn: Calling | Results) -> dict[str, Any]:
    return {name: value for name, value in asdict(turn).items() if name != "left"}


def _cleaned(turn: Turn) -> Turn:
    """Calls need none of it: their texts come from `Endpoint`, which has seen to it."""
    if isinstance(turn, Results):
        return Results(tuple(map(clean, turn.results)), clean(turn.text), clean(turn.left))
    return clean(turn) if isinstance(turn, str) else turn


@dataclass(frozen=True)
class Usage:
    """What a call took; `cost_usd` is None where nobody knows the model's price."""

    input_tokens: int
    output_tokens: int
    cost_usd: float | None


@dataclass(frozen=True)
class Answered:
    """A call that brought a reply: its number in the run's log, and the spec of the model that was asked."""

    call: int
    model: str


@dataclass(frozen=True)
class Reply(Answered):
    """What arrived.

    Tokens are those that the endpoint reported, else a guess from the texts' lengths. `finish` is why the model
    stopped: `stop`, or `length` for a text that was cut off at `max_tokens`. `surprisal` is the mean negative
    log-likelihood of the reply's tokens in nats, where the endpoint gives log-probabilities. `calls` are those of the
    prompt's tools, and `private` as in `Calling`.
    """

    text: str
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    seconds: float
    finish: str
    surprisal: float | None
    calls: tuple[ToolCall, ...] = ()
    private: str = ""

    @property
    def turn(self) -> Turn:
        """The reply as a turn of the prompts that go on from it."""
        return Calling(self.text, self.calls, self.private) if self.calls else self.text


NOTHING = Usage(0, 0, 0.0)


@dataclass(frozen=True)
class Left:
    """What the limits leave for further calls: their number, tokens, USD, and seconds of waiting for replies; None for
    what is not limited."""

    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None
    seconds: float | None = None


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
    """One more call could go beyond a limit, which the text names. Nothing was sent."""


@dataclass(frozen=True)
class CallRecord:
    """A call as it was recorded: `reply` where one arrived, else `failure` and its `detail`.

    A call whose process ended before it did counts as cancelled. `usage` is as in `CallFailed`. `used` says whether the
    reply was taken over, `gain` what came of it, `candidate` the one that it is in, if it is in one.
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
    candidate: str = ""


@dataclass(frozen=True)
class PastCall:
    """What limits and the bandit need to know of an earlier call: `usage` as in `CallFailed`, with the `prompt` where
    that is None; `gain` None where nothing is known of what came of it. One whose process ended before it did counts as
    cancelled."""

    model: str
    failure: Reason | None
    usage: Usage | None
    seconds: float
    gain: float | None
    prompt: Prompt | None = None


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

    def unused(self) -> Sequence[tuple[Prompt, Reply]]:
        """Replies that arrived before this process began and that nobody has used, with what was asked, in order."""

    def unrewarded(self) -> Sequence[tuple[Answered, str]]:
        """Calls that brought a reply before this process began and for which nobody was rewarded, in order, with the
        candidate that came of each; empty where none did."""

    def used(self, call: int) -> None:
        """What the reply said was taken over: it need not be handed out again."""

    def rewarded(self, calls: Sequence[int], gain: float) -> None:
        """What came of the replies together."""


class Answerer(ABC):
    """Who answers prompts: models, or the record of an earlier run.

    Life cycle: made once a run; `unused` and `unrewarded` first, what an earlier sitting paid for and did not use, or
    did not see the end of; then `ask` as often and as concurrently as you like; `used` once what a reply said is stored
    elsewhere, so that a resumed run does not get it again (a run that takes a candidate counts the `replies` it names
    as used by itself, but for those that call tools: a conversation goes on from them); `reward` at most once a reply;
    `close` at the end, or `async with`.
    """

    def unused(self) -> Sequence[tuple[Prompt, Reply]]:
        """Replies that arrived in an earlier sitting and that nobody has used, with what was asked. Raises
        `StoreError`."""
        return ()

    def unrewarded(self) -> Sequence[tuple[Answered, str]]:
        """Replies of earlier sittings for which nobody was rewarded, with the id of the candidate that came of each,
        empty where none did. Raises `StoreError`."""
        return ()

    @property
    def left(self) -> Left:
        """What there is room for."""
        return Left()

    @abstractmethod
    async def ask(self, prompt: Prompt) -> Reply:
        """The reply to a prompt.

        Raises:
            CallFailed: there is none; the run can go on.
            BudgetSpent: the limits have no room for one more call.
            StoreError: the record cannot be written.
        """

    @abstractmethod
    def used(self, reply: Reply) -> None:
        """What the reply said was taken over."""

    @abstractmethod
    def reward(self, replies: Sequence[Answered], gain: float) -> None:
        """What came of the replies together: how much better than the parent, 0 for nothing; see `Bandit`."""

    @abstractmethod
    async def close(self) -> None:
        """Closes connections."""

    async def __aenter__(self) -> Answerer:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
