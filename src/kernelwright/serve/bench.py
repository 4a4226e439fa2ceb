"""Judges that stay ready between one candidate and the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

from kernelwright import registry
from kernelwright.description import Description
from kernelwright.errors import KernelwrightError
from kernelwright.judge.judge import Judge
from kernelwright.judge.verdict import Verdict
from kernelwright.profile import Profile, profile
from kernelwright.proposers.base import Candidate
from kernelwright.targets.base import Target
from kernelwright.tasks import Task

_MOST_JUDGES = 2


class Bench:
    """One judge a task and language, kept for the next call, so that only the first call loads the task.

    Life cycle: `async with Bench(target) as bench`, then `describe`, `evaluate` and `profile`, one call at a time;
    leaving ends every judge. The judge that was not used for longest makes room for another; one that fails is ended.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self._target: Target = registry.load("targets", target)()
        self._judges: dict[tuple[str, str], Judge] = {}

    async def __aenter__(self) -> Bench:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for key in list(self._judges):
            await self._end(key)

    @property
    def language(self) -> str:
        """What candidates for the target are written in where nobody says."""
        return self._target.default_language

    async def describe(self, task: Task, language: str) -> Description:
        """What a proposer may know about the task: without its held-out cases.

        Raises:
            TaskError: the task cannot be used.
            MachineError: the machine lacks something.
        """
        async with self._judging(task, language) as judge:
            shown, fairness = judge.info.shown, await judge.fairness()
            floors = await asyncio.to_thread(lambda: tuple(self._target.floor_us(case) for case in shown.cases))
        return Description(task, shown, fairness, floors)

    async def evaluate(self, task: Task, candidate: Candidate) -> Verdict:
        """Judges a candidate. Raises as `describe` does."""
        async with self._judging(task, candidate.language) as judge:
            return await judge.evaluate(candidate)

    async def profile(self, task: Task, candidate: Candidate) -> Profile:
        """Judges a candidate and says what bounds it. Raises as `describe` does."""
        async with self._judging(task, candidate.language) as judge:
            return await profile(judge, candidate)

    @asynccontextmanager
    async def _judging(self, task: Task, language: str) -> AsyncIterator[Judge]:
        judge = await self._judge(task, language)
        try:
            yield judge
        except KernelwrightError:
            await self._end((task.id, language))
            raise

    async def _judge(self, task: Task, language: str) -> Judge:
        key = (task.id, language)
        judge = self._judges.pop(key, None)
        if judge is None:
            if len(self._judges) >= _MOST_JUDGES:
                await self._end(next(iter(self._judges)))
            judge = await Judge(task, self._target, language=language).__aenter__()
        self._judges[key] = judge
        return judge

    async def _end(self, key: tuple[str, str]) -> None:
        await self._judges.pop(key).__aexit__(None, None, None)
