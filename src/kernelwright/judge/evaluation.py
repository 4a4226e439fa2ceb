"""One candidate on its way through the stages: what they share, and the check that all of them repeat."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from kernelwright.judge import numerics
from kernelwright.judge.ahead import Ahead
from kernelwright.judge.answer import Answer
from kernelwright.judge.builds import PASSING
from kernelwright.judge.candidate import LOAD_TIMEOUT, SAMPLE, Build, CandidateSide
from kernelwright.judge.process import Worker
from kernelwright.judge.reference import ReferenceSide
from kernelwright.judge.rejection import Rejection
from kernelwright.judge.runner import CALL_TIMEOUT, SLOWER
from kernelwright.judge.timing import Stopwatch
from kernelwright.judge.verdict import STAGES, CaseTiming, ErrorReport, Proof, StageReport, Verdict
from kernelwright.languages.base import Language
from kernelwright.targets.base import Target
from kernelwright.tasks import CaseInfo

if TYPE_CHECKING:
    from kernelwright.proposers.base import Candidate

_FRESH, _HELD_OUT, _AT_ONCE = "fresh", "held out", 2
"""Kinds of workers that are started ahead, and how many of a candidate's at a time."""


@dataclass
class Evaluation:
    """Life cycle: made by the judge for one candidate, handed to each stage in order; a stage raises `Rejection` or
    adds to what is known. `get_ready` has the workers of the stages to come started. `side_done` ends the candidate's
    worker, `close` all of them.

    Attributes:
        start_worker: forks a worker for the candidate with a build folder; whether it is to build there, and whether
            beside others.
        builds_late: whether the source says that some of it is built in forward.
        alone: pauses everything else that uses the device or its cores.
        comes_forward: told of a worker that was started beside others and has its turn now.
        best: the verdict to beat, so that timing may stop early.
        brief: whether a short measurement will do.
        outputs: what the run stage's call has returned.
        stages: those that it has been through.
    """

    source: str
    language: Language
    reference: ReferenceSide
    stopwatch: Stopwatch
    target: Target
    build: Build
    start_worker: Callable[[Path, bool, bool], Worker]
    alone: Callable[[], AbstractContextManager[None]]
    comes_forward: Callable[[Worker], None]
    best: Verdict | None = None
    brief: bool = False
    side: CandidateSide | None = field(default=None, init=False)
    outputs: list[list[dict[str, Any]]] = field(default_factory=list, init=False)
    coverage: float | None = field(default=None, init=False)
    library_calls: tuple[str, ...] = field(default=(), init=False)
    builds_late: bool = field(default=False, init=False)
    error: ErrorReport | None = field(default=None, init=False)
    timings: list[CaseTiming] = field(default_factory=list, init=False)
    cases: list[str] = field(default_factory=list, init=False)
    distributions: list[str] = field(default_factory=list, init=False)
    checked: int = field(default=0, init=False)
    stopped_early: bool = field(default=False, init=False)
    evidence: dict[str, Any] = field(default_factory=dict, init=False)
    stages: list[StageReport] = field(default_factory=list, init=False)
    _case: CaseInfo | None = field(default=None, init=False)
    _ahead: Ahead = field(default_factory=Ahead, init=False)
    _passing: list[str] = field(default_factory=list, init=False)
    _workers: list[Worker] = field(default_factory=list, init=False)
    _aborted: bool = field(default=False, init=False)

    @property
    def subject(self) -> CandidateSide:
        """The candidate's worker, loaded by the run stage."""
        assert self.side is not None
        return self.side

    def start_side(self, folder: Path, *, building: bool, beside: bool) -> CandidateSide:
        """A new worker for the candidate, nothing loaded yet; held up while others are timed, if it is `beside` them.
        Raises `Rejection` after `abort`."""
        worker = self.start_worker(folder, building, beside)
        self._workers.append(worker)
        if self._aborted:
            worker.kill()
        return CandidateSide(worker, self.reference, CALL_TIMEOUT + SLOWER * self.reference.seconds)

    def abort(self) -> None:
        """Ends what runs for this candidate, from another thread: whoever waits for it gets a rejection that nobody
        reads."""
        self._aborted = True
        for worker in self._workers:
            worker.kill()

    def get_ready(self, *, timing: bool) -> None:
        """Starts the workers that the stages after building will need, beside whatever has the device; the one to be
        timed only if it is `timing` that follows at once."""
        case = self.reference.info.tune_case
        fresh = (_FRESH, partial(self._loaded, beside=True), [(case, self.stopwatch.pools.calls(case))])
        shapes = [(one, 1) for one in (case, *self.held_out)]
        apart = (_HELD_OUT, partial(self._built_apart, beside=True), shapes) if self.builds_late else fresh
        needed = [*([apart] if self.held_out else []), fresh, *([fresh] if timing else [])]  # the second one to run
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ahead") as several:
            list(several.map(lambda one: self._ahead.start(*one), needed))

    def fresh_side(self) -> CandidateSide:
        """A worker with the candidate loaded from its build, which no stage has used."""
        return self._ready_or_new(_FRESH, self._loaded)

    @property
    def held_out(self) -> list[CaseInfo]:
        """The cases that no proposer is shown."""
        return [case for case in self.reference.info.cases if case.role == "held_out"]

    def _held_out_side(self) -> CandidateSide:
        return self._ready_or_new(_HELD_OUT, self._built_apart) if self.builds_late else self.fresh_side()

    def _ready_or_new(self, kind: str, make: Callable[[], CandidateSide]) -> CandidateSide:
        side = self._ahead.take(kind, make)
        self.comes_forward(side.worker)
        return side

    def _loaded(self, *, beside: bool = False) -> CandidateSide:
        side = self.start_side(self.build.folder, building=False, beside=beside)
        self._load(side, self.build, readonly=True)
        return side

    def _built_apart(self, *, beside: bool = False) -> CandidateSide:
        folder = mkdtemp(dir=self.build.folder.parent, prefix=PASSING)
        self._passing.append(folder)
        return self.building_side(Path(folder), beside=beside)

    def building_side(self, folder: Path, *, beside: bool = True) -> CandidateSide:
        """A new worker with the candidate built in a folder of its own, where it may go on building."""
        side = self.start_side(folder, building=True, beside=beside)
        side.call_timeout += self.build.timeout
        self._load(side, replace(self.build, folder=folder), readonly=False)
        return side

    def _load(self, side: CandidateSide, build: Build, *, readonly: bool) -> None:
        try:
            side.load(self.source, build, readonly=readonly, timeout=LOAD_TIMEOUT if readonly else build.timeout)
        except Rejection:
            side.worker.close()
            raise

    def enter(self, case: CaseInfo) -> None:
        """Makes the candidate's model ready for a case, with the reference's parameters."""
        before, changes = self._case, bool(self.reference.changed)
        if before is not None and (before.dtype, before.gradients) == (case.dtype, case.gradients):
            if self.subject.spoilt or changes:
                self.subject.restore(case)
            return
        unplaced = self.subject.ready(case)
        if unplaced and case.role != "held_out":
            self.evidence["unplaced_parameters"] = unplaced
        self._case = case

    @contextmanager
    def on(self, case: CaseInfo, distribution: str = "") -> Iterator[None]:
        """Around what the candidate is asked on a case: a rejection says which one, and on what inputs."""
        try:
            yield
        except Rejection as rejection:
            evidence = {"case": case.name, "distribution": distribution or "own", **rejection.evidence}
            where = f"case {case.name}" + (f", {distribution} inputs" if distribution else "")
            raise Rejection(rejection.reason, f"{where}: {rejection}", **evidence) from rejection

    def run(self, answer: Answer) -> list[list[dict[str, Any]]]:
        """Runs the candidate on one set of inputs; its outputs, as its worker describes them. Raises `Rejection`."""
        self.enter(answer.case)
        self.subject.bind(answer.inputs)
        return self.subject.run([answer.inputs])[0]

    def check(self, answer: Answer) -> None:
        """Runs the candidate on one set of inputs and compares every element of every output. Raises `Rejection`."""
        with self.on(answer.case, answer.name):
            outputs = self.run(answer)
        self.compare(answer, outputs)

    def compare(self, answer: Answer, outputs: list[list[dict[str, Any]]]) -> None:
        """Compares the outputs of one call with the answer, and the inputs with what they were. Raises `Rejection`."""
        side = self.subject
        with self.on(answer.case, answer.name):
            found = side.compare(outputs, answer.outputs)
            side.compare_state(answer.state)
            side.apart(answer, answer.inputs)
            side.unchanged(answer, answer.inputs, share=SAMPLE if answer.name else 1.0)
        side.poison()
        self.checked += len(answer.outputs)
        if not answer.name and answer.case.role != "held_out":  # of which nobody is told anything
            self._note_errors(found, answer)

    def _note_errors(self, found: list[numerics.Errors | None], answer: Answer) -> None:
        """Keeps the largest error on the task's own inputs, for the verdict."""
        for errors, want in zip(found, answer.outputs, strict=True):
            if errors is None or want.bound is None or (self.error is not None and errors.max <= self.error.max):
                continue
            self.error = ErrorReport(
                max=errors.max,
                mean=errors.mean,
                reference_max=want.bound.reference_max,
                reference_mean=want.bound.reference_mean,
                allowed_max=want.bound.max,
                allowed_mean=want.bound.mean,
            )

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Goes on in another worker, which has been called once on what everybody knows, and afterwards in the one
        before, which learns nothing of what was asked meanwhile."""
        known = self.side, self._case
        self.side, self._case = self._held_out_side(), None
        try:
            self.check(self.reference.own_answer(self.reference.info.tune_case))
            yield
        finally:
            self.side_done()
            self.side, self._case = known

    def close(self) -> None:
        """Ends all of its workers, and removes what was built for held-out cases."""
        self.side_done()
        self._ahead.close()
        for folder in self._passing:
            rmtree(folder, ignore_errors=True)

    def side_done(self) -> None:
        """Ends the worker of the stages before timing, which has others."""
        if self.side is not None:
            self.side.worker.close()
            self.side = None
            self._case = None

    def verdict(self, candidate: Candidate, sandbox: str, rejection: Rejection | None = None) -> Verdict:
        """What was found out; accepted unless there is a `rejection`."""
        info = self.reference.info
        skipped = [StageReport(name=name, status="skipped", seconds=0.0) for name in STAGES[len(self.stages) :]]
        facts: dict[str, Any] = {
            "candidate": candidate.id,
            "task": self.reference.task.id,
            "target": self.target.info().key,
            "language": candidate.language,
            "library_calls": self.library_calls,
            "coverage": self.coverage,
            "error": self.error,
            "timings": tuple(self.timings),
            "stages": (*self.stages, *skipped),
            "sandbox": sandbox,
            "floor_us": self.target.floor_us(info.tune_case),
            "traffic_us": self.target.traffic_us(info.tune_case),
            "stopped_early": self.stopped_early,
        }
        if rejection is not None:
            evidence = {**self.evidence, **rejection.evidence}
            return Verdict(
                outcome="rejected", reason=rejection.reason, message=str(rejection), evidence=evidence, **facts
            )
        first = self.timings[0]
        proof = Proof(
            cases=tuple(self.cases),
            distributions=("own", *self.distributions),
            dtypes=tuple(sorted(set().union(*map(_dtypes, info.cases)))),
            device=self.target.info().model,
            checked_outputs=self.checked,
        )
        speedup = statistics.geometric_mean([timing.speedup for timing in self.timings])
        low, high = (statistics.geometric_mean([t.speedup_ci[side] for t in self.timings]) for side in (0, 1))
        return Verdict(
            outcome="accepted",
            speedup=speedup,
            speedup_ci=(low, high),
            time_us=first.time_us,
            reference_us=first.reference_us,
            proof=proof,
            evidence=self.evidence,
            **facts,
        )


def _dtypes(case: CaseInfo) -> set[str]:
    """Of all tensors that go in and come out."""
    inputs = {argument.tensor.dtype for argument in case.inputs if argument.tensor}
    return inputs | {output.dtype for output in case.outputs}


class Clock:
    """Seconds a stage took."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return time.perf_counter() - self._start
