"""A recorded run in the place of models."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable

from kernelwright.errors import UsageError
from kernelwright.proposers.llm.call import Answerer, CallFailed, CallRecord, Prompt, Reply


class Replay(Answerer):
    """Answers from a recorded run's calls: each prompt gets the replies that it got there, in their order, without any
    model or network.

    A prompt whose recorded replies are used up fails as its last call there failed. One that never was recorded is a
    `UsageError`: the run that is replayed goes another way than the recorded one.
    """

    def __init__(self, calls: Iterable[CallRecord]) -> None:
        self._replies: defaultdict[str, deque[Reply]] = defaultdict(deque)
        self._failures: dict[str, CallRecord] = {}
        for call in calls:
            if call.reply:
                self._replies[call.prompt.key].append(call.reply)
            else:
                self._failures[call.prompt.key] = call

    async def ask(self, prompt: Prompt) -> Reply:
        """See `Answerer`.

        Raises:
            UsageError: the prompt was not recorded, or not as often.
        """
        if replies := self._replies.get(prompt.key):
            return replies.popleft()
        if (call := self._failures.get(prompt.key)) and call.failure:
            raise CallFailed(call.failure, call.detail)
        known = "as often" if prompt.key in self._replies else "at all"
        raise UsageError(
            f"the recorded run did not ask this {prompt.purpose}'s prompt {known}",
            remedy="replay it with the same task, settings, prompts and seed",
        )

    def used(self, reply: Reply) -> None:
        """Nothing to note."""

    def reward(self, reply: Reply, gain: float) -> None:
        """Nothing to note."""

    async def close(self) -> None:
        """Nothing to close."""
