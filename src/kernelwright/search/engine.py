"""The one loop: a policy chooses parents, proposers make candidates, the judge decides, the store sees it first."""

from __future__ import annotations

import asyncio
import platform
import random
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelwright import registry
from kernelwright.errors import KernelwrightError, StoreError, TaskError, UsageError
from kernelwright.proposers.base import Attempt, Candidate, Context, History
from kernelwright.search import events, wins
from kernelwright.search.feed import Feed
from kernelwright.search.interrupts import Interrupts
from kernelwright.search.result import INTERRUPTED, SearchResult
from kernelwright.search.settings import Settings
from kernelwright.search.sitting import Sitting
from kernelwright.search.stop import AnyOf, Evaluations, NearFloor, NoProgress, WallTime
from kernelwright.store import Outcome, RunRecord, Store, signature
from kernelwright.tasks import Fairness, Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kernelwright.judge.judge import Judge
    from kernelwright.knowledge.library import Library
    from kernelwright.proposers.llm.call import Answerer
    from kernelwright.search.policies import Policy
    from kernelwright.targets.base import Target
    from kernelwright.tasks import Graph, Task

_START_ANEW = "start a new one with `kernelwright optimize`"
_FINALISTS = 3
_LEAST_S = 5.0
"""What exporting the task and the final comparison may take even where the budget is over."""
_CLOSE = 0.8
"""A candidate measured below this share of the best one's speedup does not win a second measurement."""


async def search(
    task: Task,
    settings: Settings,
    store: Store,
    *,
    judge_factory: Callable[..., Judge] | None = None,
    listener: events.Listener | None = None,
    resume: str | None = None,
) -> SearchResult:
    """Searches for the fastest kernel for `task`, or goes on with the run `resume`.

    Proposing, building and timing overlap: every proposer feeds a queue, as many candidates as the target has cores are
    with the judge at once, and the judge sees to it that timing has the device for itself. A candidate is stored before
    it is evaluated and its verdict before anyone sees it, so a run that was killed at any moment can be resumed: what
    was in flight is evaluated again, what has a verdict is not. The first Ctrl-C or SIGTERM ends the search in good
    order. All choices follow from the seed and the order in which verdicts come.

    Args:
        task: what candidates must compute.
        settings: how to search. A resumed run keeps its seed.
        store: where the run is kept.
        judge_factory: called like `Judge`, which is the default.
        listener: called with every event, in order.
        resume: the run to go on with.

    Raises:
        TaskError: the task does not load.
        UsageError: an unknown name in the settings; `resume` names no run, a finished one, or one of another task or
            device.
        StoreError: the store fails, or another process searches this run.
        MachineError: the machine lacks what the target or the language needs.
    """
    if judge_factory is None:
        from kernelwright.judge.judge import Judge

        judge_factory = Judge
    target: Target = registry.load("targets", settings.target)()
    policy: type[Policy] = registry.load("policies", settings.policy)
    feeds = [Feed(name, registry.load("proposers", name)()) for name in settings.proposers]
    seed = settings.seed if settings.seed is not None else secrets.randbits(32)
    run = resume or store.create(task, target.info(), settings.model_dump(mode="json"), seed)
    with store.locked(run):
        record = store.run(run)
        _check_resumable(record, task, target)
        sitting = Sitting(record, settings, policy(random.Random(f"{record.seed} policy")), store, listener)
        try:
            judge = judge_factory(task, target, language=settings.language, seed=settings.seed)
            body = asyncio.ensure_future(_search(sitting, target, judge, feeds, _models(settings, store, run)))
            with Interrupts(body) as interrupts:
                try:
                    return await body
                except asyncio.CancelledError:
                    if not interrupts.received:
                        raise
                    return sitting.result(None, sitting.graph.best(), None, INTERRUPTED)
        except KernelwrightError:
            store.discard_empty(run)
            raise


def _check_resumable(record: RunRecord, task: Task, target: Target) -> None:
    if record.status == "finished":
        raise UsageError(
            f"the run is finished ({record.outcome})",
            where=record.id,
            remedy=f"`kernelwright show {record.id}` shows what it found",
        )
    if record.task.id != task.id:
        raise UsageError("the run is of another task", where=record.id, remedy=_START_ANEW)
    if record.target_key != target.info().key:
        raise UsageError(
            f"the run is of another device ({record.target.get('model')})",
            where=record.id,
            remedy=f"resume it there or {_START_ANEW}",
        )


def _models(settings: Settings, store: Store, run: str) -> AbstractAsyncContextManager[Answerer | None]:
    """The language models of the settings, or the record in their place, their calls recorded in the run; None where
    there are none."""
    if settings.replay is not None:
        from kernelwright.proposers.llm import record, replay

        path = Path(settings.replay)
        calls = record.read(path).calls if path.is_absolute() else store.calls(settings.replay)
        return replay.Replay(calls, store.call_log(run), store.calls(run))
    if settings.models is None:
        return nullcontext()
    from kernelwright.proposers.llm.models import make

    return make(settings.models, store.call_log(run))


def _library() -> Library:
    from kernelwright.knowledge.library import open_library

    return open_library()


async def _search(
    sitting: Sitting,
    target: Target,
    judge: Judge,
    feeds: Sequence[Feed],
    opened: AbstractAsyncContextManager[Answerer | None],
) -> SearchResult:
    async with opened as models, judge:
        case = judge.info.tune_case
        graph = await judge.graph(case.name, limit=_limit(sitting.budget.search_left))
        versions = {name: version(name) for name in ("kernelwright", "torch")}
        report = {
            "info": judge.info.model_dump(mode="json"),
            "floor_us": target.floor_us(case),
            "ceilings": target.ceilings().model_dump(mode="json"),
            "versions": {**versions, "python": platform.python_version()},
            "problems": [{"name": "not_checked", "reason": "the search ended first"}],
        }
        sitting.store.describe(sitting.run, signature(graph), report)
        sitting.emit(events.Started, run=sitting.run, resumed=len(sitting.graph))
        async with _working(_check_fairness(sitting, judge, signature(graph), report)):
            async with _closing(feeds):
                stopped = await _Engine(sitting, target, judge, graph, feeds, models).explore()
            result = await _conclude(sitting, judge, stopped)
        wins.keep(result, sitting.task, target.info(), graph)
        return result


async def _check_fairness(sitting: Sitting, judge: Judge, like: str | None, report: dict[str, Any]) -> None:
    """Tells, beside the search, whether the task is a fair test. A search that ends earlier does without."""
    try:
        fairness = await judge.fairness()
    except TaskError as error:  # where the reference itself fails, the search meets that too and ends
        fairness = Fairness(problems=(Problem(name="not_checked", reason=str(error)),))
    problems = [problem.model_dump(mode="json") for problem in fairness.problems]
    sitting.store.describe(sitting.run, like, {**report, "problems": problems})
    if not fairness.fair:
        sitting.emit(events.Unfair, problems=fairness.problems)


async def _conclude(sitting: Sitting, judge: Judge, stopped: str) -> SearchResult:
    """Chooses the winner by a fresh side-by-side measurement, not by the luckiest one of the search."""
    elites = sitting.graph.elites(_FINALISTS)
    if not elites:
        return sitting.finish("no_kernel", None, None, stopped)
    finalists = tuple(node for node in elites if node.fitness >= _CLOSE * elites[0].fitness)
    sitting.emit(events.Comparing, finalists=finalists)
    limit = _limit(sitting.budget.seconds_left)
    comparison = await judge.compare([node.candidate for node in finalists], limit=limit)
    rows = {row.name: row for row in comparison.rows}
    timed = [node for node in finalists if node.id in rows]  # the others failed this time
    winner = max(timed, key=lambda node: rows[node.id].speedup) if timed else elites[0]
    slow_end, _ = (rows[winner.id] if timed else winner.verdict).speedup_ci or (0.0, 0.0)
    outcome: Outcome = "faster" if slow_end > 1 else "not_faster"
    return sitting.finish(outcome, winner, comparison, stopped)


def _limit(left: float | None) -> float | None:
    """What the judge may spend on one thing, of the seconds that are left."""
    return None if left is None else max(_LEAST_S, left)


class _Engine:
    """Life cycle: `explore`, once. A feed a proposer and a taker a core work until a stop says so, the time is over, or
    nothing is left to try: no feed is worth asking and nothing is in flight."""

    def __init__(
        self,
        sitting: Sitting,
        target: Target,
        judge: Judge,
        exported: Graph | None,
        feeds: Sequence[Feed],
        models: Answerer | None,
    ) -> None:
        self.sitting, self.target, self.judge, self.exported, self.feeds = sitting, target, judge, exported, feeds
        self.models, self.library = models, _library() if models else None
        self.guide = registry.load("languages", sitting.settings.language)().guide()
        self.reference, self.info = sitting.task.reference, judge.info.shown
        self.signature = signature(exported)
        self.history = History(_shown(node.attempt) for node in sitting.graph)
        self.news = asyncio.Event()
        self.stop = AnyOf((Evaluations(), WallTime(), NearFloor(), NoProgress(sitting.settings.patience)))
        # One place: a candidate is asked for when one is taken, so that proposers know as much as they can.
        self.queue: asyncio.Queue[tuple[int, Candidate]] = asyncio.Queue(maxsize=1)
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def explore(self) -> str:
        """Evaluates again what was in flight, then searches on; returns the reason for the end."""
        sitting = self.sitting
        async with _working(*(self._evaluate(number, candidate) for number, candidate in sitting.in_flight)) as again:
            await asyncio.gather(*again)
        reason = self.stop.reason(sitting.graph, sitting.budget)
        if reason:
            return reason
        takers = (self._take() for _ in range(self.target.info().cores))
        async with _working(*(self._feed(feed) for feed in self.feeds), *takers) as tasks:
            for task in tasks:
                task.add_done_callback(self._on_done)
            await self._wait(sitting.budget.search_left)
            if sitting.graph.best() is None:
                await self._wait(sitting.budget.overtime_left)
        return self.ended.result() if self.ended.done() else sitting.budget.over

    async def _wait(self, seconds: float | None) -> None:
        """Until the search has ended or the time is over."""
        await asyncio.wait({self.ended}, timeout=seconds)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.ended.done():
            self.ended.set_exception(error)

    def _end(self, reason: str) -> None:
        if reason and not self.ended.done():
            self.ended.set_result(reason)

    def _end_if_exhausted(self) -> None:
        graph = self.sitting.graph
        if not self.sitting.trying and self.queue.empty() and all(feed.idle(graph) for feed in self.feeds):
            self._end("nothing left to try")

    async def _feed(self, feed: Feed) -> None:
        """Asks one proposer again and again, as long as it is worth asking."""
        graph = self.sitting.graph
        while not feed.closed:
            while not feed.worth_asking(graph):
                feed.resting = True
                self._end_if_exhausted()
                await feed.rest()
            try:
                feed.heard(await self._ask(feed))
            except StoreError:
                raise  # no fault of the proposer's
            except KernelwrightError as error:
                feed.closed = True
                self.sitting.emit(events.ProposerFailed, proposer=feed.name, message=str(error))
        self._end_if_exhausted()

    async def _ask(self, feed: Feed) -> int:
        """Asks a proposer once; returns how many new candidates it made."""
        feed.ask(self.sitting.graph)
        context = self._context(feed)
        if feed.proposer.needs_parents and not context.parents:
            return 0
        made = 0
        candidates = feed.proposer.propose(context)
        async with aclosing(candidates) if isinstance(candidates, AsyncGenerator) else nullcontext():
            async for candidate in candidates:
                if self.sitting.is_new(candidate):
                    made += 1
                    await self._offer(feed, candidate)
        return made

    def _context(self, feed: Feed) -> Context:
        sitting, language = self.sitting, self.sitting.settings.language
        return Context(
            task_id=sitting.task.id,
            reference=self.reference,
            info=self.info,
            graph=self.exported,
            target=self.target.info(),
            ceilings=self.target.ceilings(),
            language=language,
            compiled=self.judge.compiled,
            parents=[_shown(node.attempt) for node in sitting.policy.select(sitting.graph)],
            verdict=self._verdict,
            history=self.history,
            evaluations_left=lambda: sitting.budget.evaluations_left,
            seconds_left=lambda: sitting.budget.search_left,
            past=partial(sitting.store.past, sitting.task.id, self.signature, language, besides=sitting.run),
            tolerance=sitting.task.tolerance,
            strict=sitting.task.strict,
            independent=sitting.policy.independent,
            guide=self.guide,
            library=self.library,
            models=self.models,
            prompts=sitting.settings.prompts,
            random=random.Random(f"{sitting.seed} {feed.name} {feed.calls}"),
        )

    async def _verdict(self, candidate: Candidate) -> Attempt:
        """Waits for the verdict on a candidate that was yielded."""
        while candidate.id not in self.sitting.graph:
            await self.news.wait()
        return _shown(self.sitting.graph[candidate.id].attempt)

    async def _offer(self, feed: Feed, candidate: Candidate) -> None:
        """Waits until the queue has taken the candidate."""
        if self.sitting.budget.evaluations_left == 0:
            feed.closed = True
            await asyncio.Future()  # until the search ends
        await self.queue.put((self.sitting.propose(candidate), candidate))

    async def _take(self) -> None:
        while True:
            await self._evaluate(*await self.queue.get())
            self._end_if_exhausted()

    async def _evaluate(self, number: int, candidate: Candidate) -> None:
        """Gets a candidate's verdict, from an earlier run or from the judge, and acts on it."""
        sitting, best = self.sitting, self.sitting.graph.best()
        sitting.trying[number] = candidate
        try:
            known = sitting.known(candidate)
            if known is None:
                sitting.emit(events.Building, candidate=candidate)
            verdict = known or await self.judge.evaluate(
                candidate, best=best.verdict if best else None, brief=True, rank=candidate.surprisal
            )
        finally:
            del sitting.trying[number]
        sitting.evaluated(number, candidate, verdict, reused=known is not None)
        self.history.add(_shown(Attempt(candidate, verdict)))
        self.news.set()
        self.news = asyncio.Event()
        self._end(self.stop.reason(sitting.graph, sitting.budget))
        for feed in self.feeds:
            if feed.resting and feed.worth_asking(sitting.graph):
                feed.wake.set()


def _shown(attempt: Attempt) -> Attempt:
    """An attempt as proposers see it."""
    return Attempt(attempt.candidate, attempt.verdict.shown)


@asynccontextmanager
async def _closing(feeds: Sequence[Feed]) -> AsyncIterator[None]:
    """Proposers that have nothing under way after the block."""
    try:
        yield
    finally:
        for feed in feeds:
            await feed.proposer.close()


@asynccontextmanager
async def _working(*work: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Tasks that do not outlive the block."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
