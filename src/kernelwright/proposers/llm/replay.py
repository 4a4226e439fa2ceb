"""A recorded run in the place of models."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from kernelwright.proposers.llm.call import (
    Answered,
    Answerer,
    BudgetSpent,
    CallFailed,
    CallLog,
    CallRecord,
    Left,
    Prompt,
    Reply,
)

PROVIDER = "replay"
"""What stands before the colon where a model is named; behind it how the call was found: one of `_matches`."""
_SAME = "same prompt"


class Replay(Answerer):
    """Answers from recorded calls, without any model, network or cost; each is given once and goes into the log.

    A prompt gets the first recorded call that is left, of those that answered

    1. the same prompt, to the letter, or failed to: the failure comes again unless a later try brought a reply;
    2. else a prompt of the same purpose on the same parents, in the same turn of the conversation. Parents are known by
       their sources, so this holds where only measured times differ, as they do from run to run;
    3. else any prompt of the same purpose.

    `Reply.model` says which of them it was.

    Life cycle: as `Answerer`. `earlier` are the calls of this run's earlier sittings: what they took is not given
    again. When no call is left that fits, `ask` raises `BudgetSpent`.
    """

    def __init__(self, calls: Iterable[CallRecord], log: CallLog, earlier: Iterable[CallRecord] = ()) -> None:
        self._log = log
        self._recorded = {call.number: (call, _matches(call.prompt)) for call in _outcomes(calls)}
        for call in earlier:
            self._take(call.prompt)

    @property
    def left(self) -> Left:
        """See `Answerer`: what is left of the record, so that a search whose calls were few goes the same way."""
        return Left(calls=len(self._recorded))

    def unused(self) -> Sequence[tuple[Prompt, Reply]]:
        """See `Answerer`."""
        return self._log.unused()

    def unrewarded(self) -> Sequence[tuple[Answered, str]]:
        """See `Answerer`."""
        return self._log.unrewarded()

    async def ask(self, prompt: Prompt) -> Reply:
        """See `Answerer`."""
        found, how = self._take(prompt)
        if found is None:
            raise BudgetSpent(f"the record has no more replies for the {prompt.purpose}")
        number = self._log.begin(prompt, f"{PROVIDER}:{how}")
        if found.reply is None:
            failure = CallFailed(found.failure or "cancelled", found.detail)
            self._log.failed(number, failure, 0.0)
            raise failure
        reply = replace(found.reply, call=number, model=f"{PROVIDER}:{how}", cost_usd=0.0, seconds=0.0)
        self._log.arrived(reply)
        return reply

    def used(self, reply: Reply) -> None:
        """See `Answerer`."""
        self._log.used(reply.call)

    def reward(self, replies: Sequence[Answered], gain: float) -> None:
        """See `Answerer`."""
        self._log.rewarded([reply.call for reply in replies], gain)

    async def close(self) -> None:
        """Nothing to close."""

    def _take(self, prompt: Prompt) -> tuple[CallRecord | None, str]:
        """The call that answers the prompt, which is then no longer left, and how it was found."""
        for how, wanted in _matches(prompt).items():
            for number, (call, offered) in self._recorded.items():
                if offered[how] == wanted and (how == _SAME or call.reply):
                    del self._recorded[number]
                    return call, how
        return None, ""


def _matches(prompt: Prompt) -> dict[str, Hashable]:
    """What two prompts must have in common, from the closest match to the loosest."""
    return {
        _SAME: prompt.key,
        "same parents": (prompt.purpose, prompt.base, len(prompt.turns)),
        "in order": prompt.purpose,
    }


def _outcomes(calls: Iterable[CallRecord]) -> list[CallRecord]:
    """Replies, and of failures the last one of a prompt that never got another reply; those that were cut short say
    nothing."""
    known = [call for call in calls if call.failure != "cancelled"]
    last = {call.prompt.key: call.number for call in known}
    return [call for call in known if call.reply or last[call.prompt.key] == call.number]
