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
from kernelwright.proposers.llm.call import Answered, Answerer, BudgetSpent, CallFailed, Reply
from kernelwright.proposers.llm.outage import Outages
from kernelwright.proposers.llm.templates import Templates, open_sets

_OF_TOOLS = tuple(f"parts/{part}.md.j2" for part in ("task", "device", "verdict", "summary", "diagnosis"))
"""Templates that the results of tools are made from."""
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
        self._sets: list[Templates] = []
        self._begun = 0
        self._unrewarded: list[Answered] = []
        """Replies of the conversation since its last verdict: they have part in the next one."""

    @classmethod
    def templates(cls, found: Templates) -> set[str]:
        """See `Proposer`."""
        own = (f"{NAME}.{part}.md.j2" for part in ("system", "opening", "left", "direction"))
        return found.reached([*own, *_OF_TOOLS])

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        """What the agent evaluates.

        Raises:
            MachineError: no call has succeeded for a while, or the model takes no tools.
            UsageError: a folder of prompts, or a template in it, cannot be used.
        """
        models = context.models
        if models is None or not (context.reference or context.graph):
            return
        session, answer = self._begin(context, models)
        answer = answer or await self._ask(models, session)
        while answer is not None:
            results = []
            for call in answer.calls:
                result = session.call(call)
                if isinstance(result, Candidate):
                    before = speed(session.workspace.head)
                    yield result.model_copy(update={"replies": tuple(each.call for each in self._unrewarded)})
                    attempt = await context.verdict(result)
                    self._learn(models, attempt, before)
                    result = session.judged(attempt)
                results.append(result)
            session.answered(answer, results)
            said, answer = answer, None if session.over else await self._ask(models, session)
            models.used(said)
        self._reward(models, 0.0)  # nothing came of what was said since

    def _begin(self, context: Context, models: Answerer) -> tuple[Session, Reply | None]:
        """The conversation that an earlier sitting left, with the last reply that arrived, or a new one; new ones take
        turns between the sets of templates."""
        taken_up = None
        if not self._sets:
            self._sets = open_sets(context.prompts)
            taken_up = self._taken_up(context, models)
        if taken_up is not None:
            return taken_up
        self._begun += 1
        templates = self._sets[(self._begun - 1) % len(self._sets)]
        return Session(context, next(iter(context.parents), None), templates), None

    def _taken_up(self, context: Context, models: Answerer) -> tuple[Session, Reply] | None:
        for reply, candidate in models.unrewarded():
            attempt = context.history.find(candidate)
            if attempt is None:
                self._unrewarded.append(reply)
            else:
                models.reward([reply], context.history.gain(attempt))
        left = [each for each in models.unused() if each[0].purpose == self.name]
        for _, answer in left[:-1]:
            models.used(answer)
        for prompt, answer in left[-1:]:
            templates = next((each for each in self._sets if each.version == prompt.template), self._sets[0])
            if session := Session.resumed(context, prompt, templates):
                return session, answer
            models.used(answer)
        return None

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
        self._reward(models, gain)

    def _reward(self, models: Answerer, gain: float) -> None:
        if self._unrewarded:
            models.reward(self._unrewarded, gain)
        self._unrewarded.clear()
