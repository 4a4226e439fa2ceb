"""How models are asked: steps under way, each a few turns of roles, from a memory to a candidate.

A scaffold is a configuration: which roles there are, and who acts next. All else is here, once: how many steps are
under way, what happens to replies that cannot be used, that were paid for in an earlier sitting, or that do not come.
"""

from __future__ import annotations

import asyncio
import math
from abc import abstractmethod
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kernelwright.proposers.base import Attempt, Candidate, Context, Proposer
from kernelwright.proposers.llm import memory, prompts
from kernelwright.proposers.llm.call import Answered, Answerer, BudgetSpent, CallFailed, Prompt, Reply
from kernelwright.proposers.llm.outage import Outages, passes
from kernelwright.proposers.llm.reply import ReplyProblem
from kernelwright.proposers.llm.role import Role, Work
from kernelwright.proposers.llm.templates import Templates, open_sets

AT_ONCE = 4
"""Steps under way at a time: a model takes far longer to write a kernel than the judge to judge it."""
_AFTER = 2
"""Where calls are few, so many times the steps under way must fit into them: that others may learn from these."""
_TRIES = 2
"""Replies of a role that could not be used before a step is given up."""
_FAILURES = 2 * AT_ONCE
"""Steps in a row that fail before there is an outage."""


@dataclass(eq=False)
class _Step:
    """From a memory to a candidate. `paid` is what it begins with, where that had been asked for before; `usable` are
    the replies that the candidate comes from, `asked` and `reply` the last prompt and its reply."""

    work: Work
    templates: Templates
    paid: tuple[Prompt, Reply] | None = None
    usable: list[Reply] = field(default_factory=list)
    asked: Prompt | None = None
    reply: Reply | None = None
    failure: CallFailed | None = None
    spent: bool = False
    task: asyncio.Task[None] = field(init=False)
    verdict: asyncio.Future[Attempt] = field(init=False)
    """On its candidate, once that has been yielded."""

    @property
    def unfinished(self) -> bool:
        """Whether its last reply can be used and nobody has acted on it, for want of another."""
        return bool(self.usable) and self.usable[-1] is self.reply and not self.work.notes.source

    @property
    def surprisal(self) -> float | None:
        """That of the reply that its candidate is in; None where it is not known, or there is no candidate."""
        return self.usable[-1].surprisal if self.work.notes.source else None

    @property
    def precedence(self) -> float:
        """The most surprising candidate is offered first, those of which it is not known last. A step that ended
        without a candidate waits for no other."""
        return (self.surprisal or 0.0) if self.work.notes.source else math.inf


class Scaffold(Proposer):
    """Keeps `AT_ONCE` steps under way, fewer where calls are few, until the verdict on their candidate and also from
    one call of `propose` to the next, so that each begins with what the judge said of those before it; yields the
    candidate of each as it comes, until the limits on calls, tokens or money are reached. First of all come the replies
    that an earlier sitting paid for and did not use. Where several wait for the judge, the one that surprised its model
    most is first, and among correct ones first to be timed (arXiv 2602.07670).

    A reply counts as used when the next reply of its step has arrived or its candidate has been taken, so that none is
    paid twice when a run is resumed. Where calls fail for reasons that pass, a step at a time is tried now and then.
    """

    asks_models = True
    patience = 4 * AT_ONCE
    roles: tuple[Role, ...]
    longest = 1
    """The most turns that a step takes."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []
        self._started = self._sample = 0
        self._context: Context
        self._sets: Sequence[Templates] = ()
        self._paid: deque[tuple[Prompt, Reply]] = deque()
        self._mended: set[str] = set()
        """Versions that a step was to mend."""
        self._waiting: dict[str, _Step] = {}
        """The steps of candidates without a verdict."""
        self._earlier: defaultdict[str, list[Answered]] = defaultdict(list)
        """By candidate, the replies of earlier sittings for which nobody was rewarded."""
        self._sketches: dict[str, str] = {}
        self._in_vain: Counter[tuple[str, tuple[str, ...]]] = Counter()
        """By memory, steps that brought nothing new: the same prompt might get the same reply again."""
        self._learnt = 0
        """How many attempts were learnt from."""
        self._spent = False
        """Whether the limits had no room for a call since `propose` was called."""
        self._outages = Outages(_FAILURES)

    @classmethod
    def templates(cls, found: Templates) -> set[str]:
        """See `Proposer`."""
        named = (f"{role.name}{end}" for role in cls.roles for end in (".system.md.j2", ".md.j2"))
        return found.reached([*named, "again.md.j2"])

    @abstractmethod
    def next(self, last: Role | None, work: Work) -> Role | None:
        """Who acts after `last` (None: who begins); None when the step is at its end."""

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        """The candidate of the next step that ends, if it has a new one; it may have begun with earlier parents. None,
        too, when a verdict comes first, since there may be better parents then.

        Raises:
            MachineError: no call has succeeded for a while.
            UsageError: a folder of prompts, or a template in it, cannot be used.
        """
        models = context.models
        if models is None or not (context.reference or context.graph):
            return
        if not self._sets:
            self._sets = open_sets(context.prompts)
            self._paid.extend(each for each in models.unused() if self._role(each[0].purpose))
            for reply, made in models.unrewarded():
                if made:
                    self._earlier[made].append(reply)
        self._context = context
        self._spent = False
        self._top_up(models)
        while step := await self._ended():
            candidate = self._new(step)
            if candidate is not None:
                yield candidate
            elif step.failure is None and not step.spent:
                self._in_vain[step.work.memory.kind, step.work.memory.base] += 1
            self._settle(step, models, taken=candidate is not None)
            if step.failure is None and not step.spent:
                return
            self._top_up(models)

    async def close(self) -> None:
        """See `Proposer`."""
        under_way, self._steps = self._under_way, []
        for each in under_way:
            each.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    @property
    def _under_way(self) -> list[asyncio.Future[Any]]:
        return [*(step.task for step in self._steps), *(step.verdict for step in self._waiting.values())]

    def _role(self, name: str) -> Role | None:
        return next((role for role in self.roles if role.name == name), None)

    def _top_up(self, models: Answerer) -> None:
        """Starts steps until there are enough."""
        self._learn(models)
        pause_s = self._outages.pause_s
        most = 1 if pause_s else self._most_at_once(models.left.calls)
        while len(self._steps) + len(self._waiting) < most and not self._spent:
            step = self._step()
            step.task = asyncio.ensure_future(self._run(step, models, pause_s))
            self._steps.append(step)

    def _most_at_once(self, left: int | None) -> int:
        """How many steps may be under way. Samples that know nothing of each other have nothing to wait for."""
        if left is None or self._context.independent:
            return AT_ONCE
        return max(1, min(AT_ONCE, left // (_AFTER * self.longest)))

    def _step(self) -> _Step:
        context, templates = self._context, self._sets[self._started % len(self._sets)]
        if self._paid:
            prompt, reply = self._paid.popleft()
            templates = next((each for each in self._sets if each.version == prompt.template), templates)
            return _Step(Work(memory.recalled(context.history, prompt.base)), templates, (prompt, reply))
        self._started += 1
        chosen = memory.choose(context, self.name, self._mended)
        if chosen.kind == "repair" and chosen.parent is not None:
            self._mended.add(chosen.parent.id)
        under_way = [each.work.memory for each in (*self._steps, *self._waiting.values())]
        alike = sum((each.kind, each.base) == (chosen.kind, chosen.base) for each in under_way)
        alike += self._in_vain[chosen.kind, chosen.base]
        # A number of its own, after those of earlier sittings: the same prompt might get the same reply.
        self._sample = max(self._sample, len(context.history)) + 1
        return _Step(Work(chosen, alike=alike, sample=self._sample if context.independent else 0), templates)

    async def _run(self, step: _Step, models: Answerer, pause_s: float) -> None:
        """Has one role act after the other."""
        await asyncio.sleep(pause_s)
        role = self._role(step.paid[0].purpose) if step.paid else self._next(None, step, models)
        try:
            while role is not None and await self._act(step, role, models):
                role = self._next(role, step, models)
        except CallFailed as failed:
            step.failure = failed
        except BudgetSpent:
            step.spent = self._spent = True  # others may still be on their way

    def _next(self, last: Role | None, step: _Step, models: Answerer) -> Role | None:
        step.work = replace(step.work, left=models.left.calls)
        return self.next(last, step.work)

    async def _act(self, step: _Step, role: Role, models: Answerer) -> bool:
        """Asks a role until its reply can be used; False when it is given up."""
        prompt, reply = step.paid or (self._prompt(role, step), None)
        step.paid = None
        while True:
            if reply is None:
                reply = await models.ask(prompt)
                self._outages.heard()
                if step.reply is not None:
                    models.used(step.reply)
            step.asked, step.reply = prompt, reply
            work = step.work
            try:
                notes = role.read(reply.text, work.notes, work.base, self._context.target)
            except ReplyProblem as problem:
                models.reward([reply], 0.0)
                if len(prompt.turns) >= 2 * _TRIES - 1:
                    return False
                prompt = prompts.again(prompt, reply, str(problem), step.templates, writes=role.writes)
                reply = None
            else:
                step.usable.append(reply)
                step.work = replace(work, notes=notes)
                return True

    def _prompt(self, role: Role, step: _Step) -> Prompt:
        parent = step.work.memory.parent
        earlier = self._sketches.get(parent.id, "") if parent else ""
        return prompts.build(role, self._context, step.work, step.templates, earlier)

    async def _ended(self) -> _Step | None:
        """The next step that has ended: of several the one whose candidate surprised its model most, of equals the one
        that began first. None where a verdict comes before, or nothing is under way. Raises what went wrong in it."""
        if under_way := self._under_way:
            await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        ended = [step for step in self._steps if step.task.done()]
        if not ended:
            return None
        step = max(ended, key=lambda step: step.precedence)
        self._steps.remove(step)
        step.task.result()
        return step

    def _new(self, step: _Step) -> Candidate | None:
        """The step's candidate, unless there is none or it is not the first of its text."""
        notes, work = step.work.notes, step.work
        candidate = Candidate(
            source=notes.source,
            language=self._context.language,
            proposer=self.name,
            parents=work.memory.base,
            note=notes.idea,
            replies=tuple(reply.call for reply in step.usable),
            surprisal=step.surprisal,
        )
        if not notes.source or self._context.history.find(candidate.id) or candidate.id in self._waiting:
            return None
        step.verdict = asyncio.ensure_future(self._context.verdict(candidate))
        self._waiting[candidate.id] = step
        self._sketches |= {candidate.id: notes.sketch} if notes.sketch else {}
        return candidate

    def _settle(self, step: _Step, models: Answerer, *, taken: bool) -> None:
        """What a step that has ended means for its last reply, unless the run has `taken` its candidate and so that,
        and for the next steps."""
        failure = step.failure
        passing = failure is not None and passes(failure)
        if step.unfinished and passing and step.asked and step.reply:
            self._paid.append((step.asked, step.reply))
        elif step.reply is not None and not (taken or (step.unfinished and step.spent)):
            models.used(step.reply)
        if failure is None:
            return
        parent = step.work.memory.parent
        if passing and parent is not None:
            self._mended.discard(parent.id)
        self._outages.failed(failure)

    def _learn(self, models: Answerer) -> None:
        """Tells which models brought what was faster than its parent: the logarithm of the gain, 0 where it was not."""
        history = self._context.history
        for attempt in history[self._learnt :]:
            step = self._waiting.pop(attempt.id, None)
            replies = (*self._earlier.pop(attempt.id, ()), *(step.usable if step else ()))
            if replies:
                models.reward(replies, history.gain(attempt))
        self._learnt = len(history)
        # What nobody judges is not waited for.
        self._waiting = {name: step for name, step in self._waiting.items() if not step.verdict.done()}
