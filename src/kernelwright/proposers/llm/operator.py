"""The universal operator: one step of a language model, with a prompt that is built anew each time from what the judge
said, from what is known, and from one of four kinds of memory (KernelEvolve, arXiv 2512.23236)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from kernelwright.errors import MachineError
from kernelwright.proposers.base import Candidate, Context, Proposer
from kernelwright.proposers.llm import memory, prompts, reply
from kernelwright.proposers.llm.call import Answerer, BudgetSpent, CallFailed, Prompt, Reply
from kernelwright.proposers.llm.reply import ReplyProblem

AT_ONCE = 4
"""Calls in flight at a time: a model takes far longer to write a kernel than the judge to judge it."""
_TRIES = 2
"""Replies that could not be used before a step is given up."""
_FAILURES = 2 * AT_ONCE
"""Steps in a row that fail before the proposer gives up; each has been repeated by then where that is worth it."""


@dataclass(frozen=True)
class _Step:
    """What came of one step: a candidate, and the replies that it took."""

    candidate: Candidate | None
    replies: tuple[Reply, ...] = ()
    failed: str = ""


class Operator(Proposer):
    """Yields the candidates of `AT_ONCE` steps, each as its reply comes, until the limits on calls, tokens or money are
    reached; first of all those of replies that an earlier sitting paid for and did not use. A reply counts as used when
    its candidate has been taken, so that none is paid twice when a run is resumed.
    """

    name = "operator"
    asks_models = True

    def __init__(self) -> None:
        self._waiting: dict[str, Reply] = {}
        """Replies whose candidates have no verdict yet."""
        self._mended: set[str] = set()
        """Versions that a step was to mend."""
        self._failures = 0
        self._resumed = False

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        """Candidates for these parents.

        Raises:
            MachineError: no call has succeeded for a while.
        """
        models = context.models
        if models is None or not (context.reference or context.graph):
            return
        self._learn(context, models)
        if not self._resumed:
            self._resumed = True
            for prompt, answer in models.unused():
                with suppress(ReplyProblem):
                    yield self._candidate(answer, prompt, context)
                models.used(answer)
        chosen = [self._chosen(context) for _ in range(AT_ONCE)]
        asked = [prompts.operator(context, one, chosen[:number].count(one)) for number, one in enumerate(chosen)]
        steps = [asyncio.ensure_future(self._step(models, prompt, context)) for prompt in asked]
        try:
            for done in asyncio.as_completed(steps):
                step = await done
                self._failures = self._failures + 1 if step.failed else 0
                if step.candidate is not None:
                    yield step.candidate
                for used in step.replies:
                    models.used(used)
                if self._failures >= _FAILURES:
                    what = f"{self._failures} times in a row there was no reply: {step.failed}"
                    raise MachineError(what, where="language model")
        finally:
            for pending in steps:
                pending.cancel()
            await asyncio.gather(*steps, return_exceptions=True)

    def _chosen(self, context: Context) -> memory.Memory:
        chosen = memory.choose(context, self.name, self._mended)
        if chosen.kind == "repair" and chosen.parent is not None:
            self._mended.add(chosen.parent.candidate.id)
        return chosen

    async def _step(self, models: Answerer, prompt: Prompt, context: Context) -> _Step:
        """Asks until a reply is a candidate."""
        replies: list[Reply] = []
        for _ in range(_TRIES):
            try:
                answer = await models.ask(prompt)
            except CallFailed as failed:
                return _Step(None, tuple(replies), str(failed))
            except BudgetSpent:
                break  # others may still be on their way
            replies.append(answer)
            try:
                return _Step(self._candidate(answer, prompt, context), tuple(replies))
            except ReplyProblem as problem:
                models.reward(answer, 0.0)
                prompt = prompts.again(prompt, answer.text, str(problem))
        return _Step(None, tuple(replies))

    def _candidate(self, answer: Reply, prompt: Prompt, context: Context) -> Candidate:
        """What the reply to the prompt says. Raises `ReplyProblem`."""
        known = {attempt.candidate.id: attempt.candidate.source for attempt in (*context.history, *context.parents)}
        written = reply.read(answer.text, known.get(prompt.base[0], "") if prompt.base else "")
        candidate = Candidate(
            source=written.source,
            language=context.language,
            proposer=self.name,
            parents=prompt.base,
            note=written.idea,
        )
        if candidate.id not in known:
            self._waiting.setdefault(candidate.id, answer)
        return candidate

    def _learn(self, context: Context, models: Answerer) -> None:
        """Tells which model wrote what was faster than its parent: the logarithm of the gain, 0 where it was not."""
        speedups = {attempt.candidate.id: attempt.verdict.speedup or 0.0 for attempt in context.history}
        for attempt in context.history:
            answer = self._waiting.pop(attempt.candidate.id, None)
            if answer is not None:
                before = max([1.0, *(speedups.get(parent, 0.0) for parent in attempt.candidate.parents)])
                models.reward(answer, math.log(max(1.0, speedups[attempt.candidate.id] / before)))
