"""The universal operator: one step of a language model, with a prompt that is built anew each time from what the judge
said, from what is known, and from one of four kinds of memory (KernelEvolve, arXiv 2512.23236)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass

from kernelwright.errors import MachineError
from kernelwright.proposers.base import Candidate, Context, Proposer
from kernelwright.proposers.llm import memory, prompts, reply
from kernelwright.proposers.llm.call import Answerer, BudgetSpent, CallFailed, Prompt, Reply
from kernelwright.proposers.llm.memory import Memory

AT_ONCE = 4
"""Calls in flight at a time: a model takes far longer to write a kernel than the judge to judge it."""
_TRIES = 2
"""Replies that could not be used before a step is given up."""
_FAILURES = 5
"""Calls in a row that fail before the proposer gives up."""


@dataclass(frozen=True)
class _Step:
    """What came of one step: a candidate, and the replies that it was read from."""

    candidate: Candidate | None
    replies: tuple[Reply, ...]
    failed: str = ""


class LanguageModel(Proposer):
    """Yields the candidates of `AT_ONCE` steps, each as its reply comes, until the limits on calls, tokens or money are
    reached. A reply counts as used when its candidate has been taken, so that none is paid twice when a run is resumed.
    """

    name = "llm"

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Reply, float]] = {}
        """Replies whose candidates have no verdict yet, with the parent's speedup."""
        self._failures = 0

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        """Candidates for these parents.

        Raises:
            MachineError: no call has succeeded for a while.
        """
        models = context.models
        if models is None:
            return
        self._learn(context, models)
        steps = [
            asyncio.ensure_future(self._step(models, prompts.operator(context, chosen), chosen, context.language))
            for chosen in (memory.choose(context, self.name) for _ in range(AT_ONCE))
        ]
        try:
            for done in asyncio.as_completed(steps):
                step = await done
                self._note(step)
                if step.candidate is not None:
                    yield step.candidate
                for used in step.replies:
                    models.used(used)
        finally:
            for pending in steps:
                pending.cancel()
            await asyncio.gather(*steps, return_exceptions=True)

    async def _step(self, models: Answerer, prompt: Prompt, chosen: Memory, language: str) -> _Step:
        """Asks until a reply is a candidate."""
        replies: list[Reply] = []
        parents = tuple(one.candidate for one in (chosen.parent, *chosen.others) if one is not None)
        for _ in range(_TRIES):
            try:
                answer = await models.ask(prompt)
            except CallFailed as failed:
                return _Step(None, tuple(replies), str(failed))
            except BudgetSpent:
                break  # others may still be on their way
            replies.append(answer)
            try:
                written = reply.read(answer.text, parents[0].source if chosen.parent else "")
            except reply.ReplyProblem as problem:
                prompt = prompts.again(prompt, answer.text, str(problem))
                continue
            candidate = Candidate(
                source=written.source,
                language=language,
                proposer=self.name,
                parents=tuple(parent.id for parent in parents) if chosen.parent else (),
                note=written.idea,
            )
            speedup = chosen.parent.verdict.speedup if chosen.parent else None
            self._waiting[candidate.id] = (answer, speedup or 1.0)
            return _Step(candidate, tuple(replies))
        return _Step(None, tuple(replies))

    def _note(self, step: _Step) -> None:
        self._failures = self._failures + 1 if step.failed else 0
        if self._failures >= _FAILURES:
            raise MachineError(f"{self._failures} calls in a row failed: {step.failed}", where="language model")

    def _learn(self, context: Context, models: Answerer) -> None:
        """Tells which model wrote what was better than its parent: the logarithm of the gain, at least 0."""
        for attempt in context.history:
            waiting = self._waiting.pop(attempt.candidate.id, None)
            if waiting is not None:
                answer, before = waiting
                speedup = attempt.verdict.speedup or 0.0
                models.reward(answer, max(0.0, math.log(speedup / before)) if speedup > 0 else 0.0)
