"""The coding agent as an operator of the search: a language model that reads lineage and knowledge, edits, evaluates
and commits, in a loop with tools (AVO, arXiv 2603.24517; AutoKernel, arXiv 2603.21331)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

from kernelwright.errors import MachineError
from kernelwright.proposers.agent.session import Session
from kernelwright.proposers.agent.workspace import NAME, speed
from kernelwright.proposers.base import Attempt, Candidate, Context, Proposer
from kernelwright.proposers.llm.call import Answerer, BudgetSpent, CallFailed, Reply
from kernelwright.proposers.llm.outage import Outages

_FAILURES, _REFUSALS = 4, 2
"""Calls in a row that fail before there is an outage, and those that the endpoint refuses before it is given up."""


class Agent(Proposer):
    """Each `propose` is one conversation, from the version that the policy chose. It yields what the agent evaluates,
    and ends when the supervisor gives the conversation up or the limits on calls, tokens or money are reached; the
    search then asks again, which begins another one.

    A reply counts as used when the next one has arrived, whose prompt holds the whole conversation. So a run that is
    resumed takes the conversation up at the last reply that had arrived: its calls are carried out (what the judge had
    decided it does not decide again), and nothing is asked twice.
    """

    name = NAME
    asks_models = True

    def __init__(self) -> None:
        self._outages, self._refusals = Outages(_FAILURES), 0
        self._resumed = False
        self._unrewarded: list[Reply] = []
        """Replies since the last verdict: they have part in the next one."""

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        """What the agent evaluates.

        Raises:
            MachineError: no call has succeeded for a while, or the model takes no tools.
        """
        models = context.models
        if models is None or not (context.reference or context.graph):
            return
        session, answer = self._taken_up(context, models)
        answer = answer or await self._ask(models, session)
        while answer is not None:
            results = []
            for call in answer.calls:
                result = session.call(call)
                if isinstance(result, Candidate):
                    before = speed(session.workspace.head)
                    yield result
                    attempt = await context.verdict(result)
                    self._learn(models, attempt, before)
                    result = session.judged(attempt)
                results.append(result)
            session.answered(answer, results)
            said, answer = answer, None if session.over else await self._ask(models, session)
            models.used(said)

    def _taken_up(self, context: Context, models: Answerer) -> tuple[Session, Reply | None]:
        """The conversation that an earlier sitting left with the last reply that arrived, or a new one."""
        left = [] if self._resumed else [each for each in models.unused() if each[0].purpose == self.name]
        self._resumed = True
        for number, (prompt, answer) in enumerate(left, 1):
            session = Session.resumed(context, prompt) if number == len(left) else None
            if session is not None:
                return session, answer
            models.used(answer)
        return Session(context, next(iter(context.parents), None)), None

    async def _ask(self, models: Answerer, session: Session) -> Reply | None:
        """The next reply; None where the conversation cannot go on."""
        while True:
            await asyncio.sleep(self._outages.pause_s)
            try:
                answer = await models.ask(session.prompt())
            except BudgetSpent:
                return None
            except CallFailed as failed:
                self._failed(failed)
                # What was said does not suit the model: with less of it, or from the beginning, it may.
                hopeless = failed.reason == "bad_request" or (failed.reason == "too_long" and not session.too_long())
                if hopeless and session.begun:
                    return None
            else:
                self._outages.heard()
                # That tools are offered many endpoints take; that results come back, some do not.
                self._refusals = 0 if session.begun else self._refusals
                self._unrewarded.append(answer)
                return answer

    def _failed(self, failed: CallFailed) -> None:
        self._refusals += failed.reason == "bad_request"
        if self._refusals == _REFUSALS:
            raise MachineError(
                f"what it is sent is refused: {failed}",
                where="language model",
                remedy="a model that takes no tools can be asked by --scaffold operator",
            ) from failed
        self._outages.failed(failed)

    def _learn(self, models: Answerer, attempt: Attempt, before: float) -> None:
        """Tells what came of the replies since the last verdict: the logarithm of the gain, 0 where there is none."""
        gain = math.log(max(1.0, speed(attempt) / max(1.0, before)))
        for answer in self._unrewarded:
            models.reward(answer, gain)
        self._unrewarded.clear()
