"""The trusted side: draws inputs, knows the answers, keeps the time, decides. It never runs a line of a candidate's or
a task's code."""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kernelwright.errors import TaskError
from kernelwright.home import home
from kernelwright.judge import builds, stages, storage
from kernelwright.judge.ahead import Anteroom, places
from kernelwright.judge.allowed import GIB, Allowed
from kernelwright.judge.background import Background, in_thread
from kernelwright.judge.candidate import BUILD_TIMEOUT, Build
from kernelwright.judge.compiled import COMPILE_TIMEOUT, Compiled, compile_task
from kernelwright.judge.device_turns import turns_on
from kernelwright.judge.endings import WorkerTimeout
from kernelwright.judge.evaluation import Clock, Evaluation
from kernelwright.judge.examining import examine
from kernelwright.judge.head_start import HeadStart
from kernelwright.judge.launched import Launched
from kernelwright.judge.pools import Pools, Reference
from kernelwright.judge.process import Worker
from kernelwright.judge.race import COMPILED, Race
from kernelwright.judge.reference import ReferenceSide, new_seeds
from kernelwright.judge.rejection import Rejection, WorkerFailure
from kernelwright.judge.timing import Stopwatch
from kernelwright.judge.verdict import STAGES, Comparison, StageReport, Verdict
from kernelwright.judge.warden import Allowance
from kernelwright.judge.zygote_part import ZygotePart
from kernelwright.languages.loading import language_for
from kernelwright.targets.base import Target
from kernelwright.tasks import Fairness, Graph, Task, TaskInfo

if TYPE_CHECKING:
    from kernelwright.proposers.base import Candidate
    from kernelwright.targets.examiner import Examiner

T = TypeVar("T")
FAIRNESS_SECONDS = 10.0
READY = "ready"
"""The file that says that a shared folder is complete."""


class Judge:
    """Life cycle: `async with Judge(task, target) as judge`, which starts the sandbox and loads the task; then
    `evaluate` as often and as concurrently as you like: builds overlap, everything that runs on the device takes turns.
    Leaving ends every process.

    Args:
        task: what candidates must compute.
        target: where they must be fast.
        language: what they are written in, by default the target's.
        seed: for runs that must be repeatable; by default inputs are unpredictable.

    Raises:
        UsageError: the language is none for the target.
        TaskError: on entering, when the task does not load or cannot be described.
        MachineError: on entering, when the sandbox does not start.
    """

    build_timeout = BUILD_TIMEOUT

    def __init__(self, task: Task, target: Target, *, language: str | None = None, seed: int | None = None) -> None:
        self.task, self.target = task, target
        self.info: TaskInfo
        self._language = language_for(
            language or target.default_language, "gpu" if target.device_files else "cpu", target.name
        )
        self._seeds = new_seeds(seed)
        self._zygote = ZygotePart()
        self._compile_cache = home() / "builds" / "torch-compile"
        self._device, self._head_start = turns_on(target), HeadStart()
        self._anteroom = Anteroom(places(target.info().memory_bytes) if target.spares_host else 0)
        self._builders = asyncio.Semaphore(max(1, target.info().cores))
        self._background = Background()
        self._shared: Path | None = None
        self._warming: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._compiling: asyncio.Task[Compiled] | None = None

    async def __aenter__(self) -> Judge:
        try:
            await asyncio.to_thread(self._start)
        except BaseException:
            await asyncio.to_thread(self._zygote.close)
            await asyncio.to_thread(self._zygote.release)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        running = [task for task in (self._compiling, self._warming, self._preparing) if task is not None]
        for task in running:
            task.cancel()
        await asyncio.to_thread(self._zygote.close)
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.to_thread(self._zygote.release)
        del self._reference, self._stopwatch  # inputs and answers, up to a gigabyte: nobody waits for the collector
        await asyncio.to_thread(storage.give_back)

    @property
    def sandbox(self) -> str:
        """The level of the sandbox in force."""
        return self._zygote.level.name

    async def fairness(self) -> Fairness:
        """What counts against the task as a test, found on real data. Raises `TaskError`."""
        await self._after_the_first()
        found = await asyncio.to_thread(self._ask, "fairness", 6 * FAIRNESS_SECONDS + 60, budget_s=FAIRNESS_SECONDS)
        return Fairness.model_validate(found["fairness"])

    async def graph(self, case: str, *, limit: float | None = None) -> Graph | None:
        """The task's exported graph on a case; None where torch.export cannot export it, or not within `limit`
        seconds."""
        self._warm_up(more=True)
        timeout = COMPILE_TIMEOUT if limit is None else min(limit, COMPILE_TIMEOUT)
        try:
            graph = (await asyncio.to_thread(self._ask, "export", timeout, case=case))["graph"]
        except TaskError as error:
            if limit is None or not isinstance(error.__cause__, WorkerTimeout):
                raise
            return None
        return None if graph is None else Graph.model_validate(graph)

    async def compiled(self) -> str | None:
        """What torch.compile makes of the first tune case, as a candidate's source; None where it cannot be
        captured."""
        return (await self._compile()).source

    async def evaluate(
        self, candidate: Candidate, *, best: Verdict | None = None, brief: bool = False, rank: float | None = None
    ) -> Verdict:
        """Everything the judge finds out about a candidate. `best` is the verdict to beat: clearly slower ones are not
        timed to the end. `brief` is for those of which the good ones are compared later: timing takes less. Of those
        that passed their checks, the one with the highest `rank` is timed first; one without is timed right after them.
        Raises `TaskError` where the reference itself fails, `MachineError` where the sandbox does.
        """
        self._head_start.begin()
        self._warm_up(more=brief)
        evaluation = self._evaluation(candidate, best, brief=brief)
        try:
            async with self._builders:
                await in_thread(self._stage, evaluation, "build", abort=evaluation.abort)
            get_ready = partial(evaluation.get_ready, timing=rank is None)
            async with (
                self._anteroom.ready(get_ready, evaluation.abort) as leave,
                self._device.turn(rank) as step_aside,
            ):
                for name in STAGES[1:-1]:
                    await in_thread(self._stage, evaluation, name, abort=evaluation.abort)
                done = evaluation.side_done if rank is None else evaluation.close  # who waits holds no memory
                await in_thread(done, abort=evaluation.abort)
                leave()
                await step_aside()
                await in_thread(self._stage, evaluation, "time", abort=evaluation.abort)
        except Rejection as rejection:
            return evaluation.verdict(candidate, self.sandbox, rejection)
        finally:
            self._head_start.end()
            await asyncio.to_thread(evaluation.close)
        return evaluation.verdict(candidate, self.sandbox)

    async def compare(self, candidates: Sequence[Candidate], *, limit: float | None = None) -> Comparison:
        """Times eager, torch.compile and accepted candidates in turn on the first tune case; one that fails has no
        row. With `limit`, it takes about that many seconds: half of it may pass until torch.compile is ready. Raises
        `TaskError` where the reference itself fails.
        """
        self._head_start.end()
        end = None if limit is None else time.monotonic() + limit
        try:
            compiled = await asyncio.wait_for(self._compile(), None if limit is None else limit / 2)
        except asyncio.TimeoutError:
            compiled = Compiled(None, "not ready within the budget")
        contestants = {candidate.id: self._evaluation(candidate) for candidate in candidates}
        await asyncio.gather(*map(self._build, contestants.values()))
        abandoned = threading.Event()

        def abandon() -> None:
            abandoned.set()
            for evaluation in contestants.values():
                evaluation.abort()

        async with self._device.turn():
            left = None if end is None else max(1.0, end - time.monotonic())
            race = partial(self._compare, contestants, compiled, left, abandoned)
            return await in_thread(race, abort=abandon)

    async def examine(self, candidate: Candidate, examiner: Examiner) -> dict[str, Any]:
        """What an examiner finds in a candidate; see `examining.examine`. Raises `MachineError`."""
        evaluation, launched = self._evaluation(candidate), Launched()
        confinement = self._allowed.candidate(evaluation.build.folder, self._needed, building=False)
        modules = (*self._language.imports, self._language.worker_module)

        def abort() -> None:
            evaluation.abort()
            launched.kill()

        async with self._device.turn():
            work = partial(examine, evaluation, examiner, launched, confinement, modules, self._variables)
            return await in_thread(work, abort=abort)

    async def _build(self, evaluation: Evaluation) -> None:
        """Builds a contestant whose build is gone: its verdict may be older than the compiler."""
        async with self._builders:
            with suppress(Rejection):  # the race will tell
                await in_thread(stages.build, evaluation, abort=evaluation.abort)

    # --- start ---

    def _start(self) -> None:
        self.target.ceilings()  # measured before anything of ours runs beside it
        devices = self.target.device_files
        self._variables = self.target.environment | self._language.environment(on_gpu=bool(devices))
        self._zygote.start(devices, self._variables)
        self._reference = ReferenceSide(self.task, self._fork_task, self._seeds)
        timer = Reference(self._fork_task(), self._reference, call_timeout=COMPILE_TIMEOUT)
        self._zygote.import_rest(self._language.imports)
        self.info = self._reference.load()
        self._reference.load_into(timer.worker)
        one_call = self._language.interpreted(on_gpu=bool(devices))
        self._stopwatch = Stopwatch(Pools(self._reference, timer, one_call=one_call))
        self._compiler_key = self._language.compiler_key()
        self._shared = self._language.shared()
        if self._shared is not None:
            builds.use(self._shared)
        builds.trim(home() / "builds")

    def _fork_task(self, *, programs: bool = False) -> Worker:
        return self._zygote.fork(self._allowed.task(self.task.source.search_path, programs=programs))

    def _ask(self, op: str, timeout: float, **arguments: Any) -> dict[str, Any]:
        """Asks one thing about the task in a worker of its own, beside everything else."""
        worker = self._background.start(self._fork_task)
        try:
            self._reference.load_into(worker)
            return self._reference.call(op, timeout, worker=worker, **arguments)
        finally:
            worker.close()

    def _warm_up(self, *, more: bool) -> None:
        """Has the answers that every candidate needs computed while the first one is still being made; and makes what
        builds share, later where `more` candidates will come."""
        if self._warming is None:
            self._reference.admit()
            self._warming = asyncio.create_task(self._prepare_answers())
            prepare = self._prepare_later() if more else asyncio.to_thread(self._prepare_builds)
            self._preparing = asyncio.create_task(prepare)

    async def _prepare_later(self) -> None:
        """After torch.compile, which a short search on a new machine has to wait for at its end."""
        await self._after_the_first()
        if self._compiling is not None:
            await asyncio.wait([self._compiling])
        await asyncio.to_thread(self._prepare_builds)

    async def _later(self, work: Callable[[], T]) -> T:
        """Runs something in a thread that nobody waits for before the first candidate has its verdict."""
        await self._after_the_first()
        return await asyncio.to_thread(work)

    async def _after_the_first(self) -> None:
        if self._warming is not None:  # else there is none
            await self._head_start.over()

    async def _prepare_answers(self) -> None:
        async with self._device.turn():
            with suppress(TaskError):  # whoever needs the answer meets the same error and reports it
                await in_thread(self._answers, abort=self._reference.abort)

    def _answers(self) -> None:
        case = self.info.tune_case
        self._reference.answer(case)
        with ThreadPoolExecutor(1, thread_name_prefix="answers") as beside:
            pool = beside.submit(self._stopwatch.pool, case)  # in the timing worker, beside the other
            self._reference.distributions(case)
            pool.result()

    # --- evaluation ---

    def _evaluation(self, candidate: Candidate, best: Verdict | None = None, *, brief: bool = False) -> Evaluation:
        facts = candidate.id, self._compiler_key, self.target.info().simd
        key = hashlib.sha256(" ".join(facts).encode()).hexdigest()[:24]
        build_dir = home() / "builds" / key
        builds.use(build_dir)
        return Evaluation(
            source=candidate.source,
            language=self._language,
            reference=self._reference,
            stopwatch=self._stopwatch,
            target=self.target,
            build=Build(self._language.worker_module, build_dir, self._shared, self.build_timeout),
            start_worker=self._fork_candidate,
            alone=self._background.held_up,
            comes_forward=self._background.forget,
            best=best,
            brief=brief,
        )

    @property
    def _allowed(self) -> Allowed:
        shared = (str(self._shared),) if self._shared else ()
        return Allowed(self.target.device_files, shared, self._compile_cache)

    @property
    def _needed(self) -> int:
        return max(case.bytes for case in self.info.cases)

    def _prepare_builds(self) -> None:
        """Makes what builds share, in a worker that may write it; builds that start meanwhile only take longer."""
        if self._shared is None or (self._shared / READY).exists():
            return
        worker = self._background.start(lambda: self._zygote.fork(self._allowed.preparing()))
        try:
            worker.call(
                "prepare", COMPILE_TIMEOUT, worker_module=self._language.worker_module, folder=str(self._shared)
            )
            (self._shared / READY).touch()
        except WorkerFailure:
            return  # builds go without, and say themselves what is wrong with the compiler
        finally:
            worker.close()

    def _fork_candidate(self, folder: Path, building: bool, beside: bool) -> Worker:
        confinement = self._allowed.candidate(folder, self._needed, building=building)
        together = max(confinement.memory, self.target.info().cores * 2 * GIB) if building else confinement.memory
        allowance = Allowance(together, folder=str(folder) if building else "")
        fork = partial(self._zygote.fork, confinement, allowance=allowance)
        return self._background.start(fork) if beside else fork()

    def _stage(self, evaluation: Evaluation, name: str) -> None:
        clock = Clock()
        stage: Callable[[Evaluation], None] = getattr(stages, name)
        try:
            stage(evaluation)
        except Rejection:
            evaluation.stages.append(StageReport(name=name, status="failed", seconds=clock.seconds))
            raise
        evaluation.stages.append(StageReport(name=name, status="passed", seconds=clock.seconds))

    # --- torch.compile and the final comparison ---

    async def _compile(self) -> Compiled:
        """Runs torch.compile once, in the background."""
        if self._compiling is None:
            self._compiling = asyncio.create_task(self._later(self._run_compiler))
        return await asyncio.shield(self._compiling)

    def _run_compiler(self) -> Compiled:
        worker = self._background.start(partial(self._fork_task, programs=True))
        return compile_task(worker, self._reference, self._compile_cache, self._shared)

    def _compare(
        self, contestants: dict[str, Evaluation], compiled: Compiled, limit: float | None, abandoned: threading.Event
    ) -> Comparison:
        case, lasting, problem = self.info.tune_case, {}, compiled.problem
        if (contestant := compiled.contestant(self._reference, limit)) is not None:
            self._background.forget(contestant.worker)
            lasting[COMPILED] = contestant
        fresh = {name: evaluation.fresh_side for name, evaluation in contestants.items()}
        with self._background.held_up():
            pool = self._stopwatch.pool(case)
            with self.target.floor_meter(case, len(pool.batches[0])) as floor:
                race = Race(self._stopwatch, pool, lasting, fresh, floor, abandoned)
                race.run(limit)
        if COMPILED in race.failed:
            problem = f"torch.compile failed: {race.failed[COMPILED]}"
        return Comparison(
            case=case.name,
            floor_us=1e6 * statistics.median(race.floors),
            rows=race.rows(),
            compile_problem="" if COMPILED in race.times else problem or "torch.compile is not available",
        )
