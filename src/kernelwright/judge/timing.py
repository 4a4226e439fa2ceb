"""How fast: the reference and candidates run in turn, each in its own process, on the judge's clock, on inputs never
seen before."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kernelwright.errors import TaskError
from kernelwright.judge import numerics, tensors
from kernelwright.judge.candidate import CandidateSide, check_form
from kernelwright.judge.reference import Expected, Inputs, ReferenceSide
from kernelwright.judge.rejection import Rejection
from kernelwright.judge.verdict import CaseTiming
from kernelwright.tasks import CaseInfo

BATCH_SECONDS = 4e-3
"""A timed batch lasts at least about this long for the reference: a hundred times the hand-over between processes."""
BATCHES = 8
"""Batches of fresh inputs for each life of a worker; the first warms it up."""
POOL_BYTES = 1 << 29
MAX_CALLS = 1024
MIN_PAIRS, MAX_PAIRS = 6, 121
WIDTH = 0.03
"""Enough pairs are measured when the 95 % interval is no wider than this share of the median."""
UNSTABLE = 10.0
"""An interval whose ends are further apart than this factor says nothing; a narrower one says what it is worth."""
SECONDS = 2.0
"""Time for the pairs of one candidate on one case, beyond `MIN_PAIRS` of them."""


@dataclass
class Pool:
    """Inputs for timed calls in batches, and the reference's outputs for each, by which every timed call is checked.

    `handover` is the seconds that a batch of no calls takes.
    """

    case: CaseInfo
    batches: list[list[Inputs]]
    expected: list[tuple[Expected, ...]]
    """For each batch, the outputs stacked over its calls."""
    handover: float = 0.0


@dataclass(frozen=True)
class Interval:
    """A median with its distribution-free 95 % confidence interval (order statistics of the binomial)."""

    median: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Relative to the median."""
        return (self.high - self.low) / self.median


def interval(values: Sequence[float]) -> Interval:
    """The median of at least one value, with the narrowest symmetric pair of order statistics that holds it with 95
    %."""
    ordered, count = sorted(values), len(values)
    tail, drop = 0.0, 0
    for successes in range(count // 2):
        tail += math.comb(count, successes) / 2**count
        if 2 * tail > 0.05:
            break
        drop = successes
    return Interval(statistics.median(ordered), ordered[drop], ordered[count - 1 - drop])


class Reference(CandidateSide):
    """The reference as a contestant, eager or compiled: its own state, drawn as the judge drew it, instead of a
    copy."""

    compiled: bool = False

    def ready(self, case: CaseInfo) -> list[str]:
        """Makes the reference's model for the case; the same seed gives the same state."""
        self.reference.construct(case, worker=self.worker, compiled=self.compiled)
        return []

    def restore(self, case: CaseInfo) -> None:
        """Makes it anew, unless that would compile it again (its outputs are not looked at)."""
        if not self.compiled:
            self.ready(case)


class Stopwatch:
    """Times candidates against the reference. Life cycle: made once a judge with the reference's own timing worker."""

    def __init__(self, reference: ReferenceSide, timer: Reference) -> None:
        self._reference, self._timer = reference, timer
        self._pools: dict[str, Pool] = {}
        self._timer_case = ""

    def duel(
        self, case: CaseInfo, fresh: Callable[[], CandidateSide], floor_us: float, to_beat: float | None
    ) -> tuple[CaseTiming, bool, int]:
        """Times one candidate on a case: A B A B, the speedup being the median of paired ratios.

        Args:
            case: the case.
            fresh: makes a worker with the candidate loaded, once for every `BATCHES` batches.
            floor_us: the case's floor in µs, for the report.
            to_beat: a speedup; a candidate whose every pair is clearly below it is not measured to the end.

        Returns:
            The timing, whether it stopped early, and how many outputs were checked. Raises `Rejection`.
        """
        pool = self.pool(case)
        own: list[float] = []
        theirs: list[float] = []
        start, checked, stopped = time.monotonic(), 0, False
        while not stopped and not _enough(own, theirs, time.monotonic() - start):
            side = fresh()
            try:
                checked += self._life(side, pool, own, theirs, start)
            finally:
                side.worker.close()
            ratios = [a / b for a, b in zip(theirs, own, strict=True)]
            stopped = to_beat is not None and len(ratios) >= MIN_PAIRS and max(ratios) < 0.85 * to_beat
        speedup = interval([a / b for a, b in zip(theirs, own, strict=True)])
        if speedup.high > UNSTABLE * speedup.low and len(own) >= MAX_PAIRS:
            raise Rejection(
                "unstable_timing",
                f"after {len(own)} pairs the speedup is only known to lie in {speedup.low:.2f} .. {speedup.high:.2f}",
                case=case.name,
                times_us=[1e6 * value for value in own],
            )
        timing = CaseTiming(
            case=case.name,
            time_us=1e6 * statistics.median(own),
            reference_us=1e6 * statistics.median(theirs),
            floor_us=floor_us,
            speedup=speedup.median,
            speedup_ci=(speedup.low, speedup.high),
            pairs=len(own),
            calls=len(pool.batches[0]),
        )
        return timing, stopped, checked

    def round_robin(
        self, case: CaseInfo, lasting: dict[str, Reference], fresh: dict[str, Callable[[], CandidateSide]]
    ) -> dict[str, list[float]]:
        """Times several contestants and the reference (named "") in turn, A B C A B C; seconds a call, comparable index
        by index.

        Args:
            case: the case.
            lasting: trusted contestants (torch.compile), each kept in one worker.
            fresh: makes a candidate's worker, once for every `BATCHES` batches; their outputs are checked.
        """
        pool = self.pool(case)
        times: dict[str, list[float]] = {name: [] for name in ("", *lasting, *fresh)}
        for steady in lasting.values():
            self._prepare(steady, pool)
        start, limit = time.monotonic(), SECONDS * len(times)
        while len(times[""]) < 2 * MIN_PAIRS or (time.monotonic() - start < limit and len(times[""]) < MAX_PAIRS):
            living = {name: make() for name, make in fresh.items()}
            try:
                for side in living.values():
                    self._prepare(side, pool)
                for batch in range(len(pool.batches)):
                    row = {"": self._own(pool, batch)}
                    contestants: dict[str, CandidateSide] = {**lasting, **living}
                    for name, side in contestants.items():
                        row[name] = self._batch(side, pool, batch, check=name in fresh)[0]
                    if batch > 0:
                        for name, seconds in row.items():
                            times[name].append(seconds)
            finally:
                for side in living.values():
                    side.worker.close()
        return times

    def pool(self, case: CaseInfo) -> Pool:
        """The inputs for a case's timed calls; drawn once, with the reference's outputs."""
        if case.name not in self._pools:
            self._pools.clear()  # one case's pool is large enough
            self._pools[case.name] = self._fill(case)
        return self._pools[case.name]

    def _life(self, side: CandidateSide, pool: Pool, own: list[float], theirs: list[float], start: float) -> int:
        """One worker's batches: a warm-up, then pairs, until there are enough. Returns how many outputs were
        checked."""
        self._prepare(side, pool)
        checked = 0
        for batch in range(len(pool.batches)):
            first = len(own) % 2 == 0
            before = self._own(pool, batch) if first else 0.0
            seconds, count = self._batch(side, pool, batch, check=True)
            after = before if first else self._own(pool, batch)
            checked += count
            if batch > 0:
                own.append(seconds)
                theirs.append(after)
            if _enough(own, theirs, time.monotonic() - start):
                break
        return checked

    def _prepare(self, side: CandidateSide, pool: Pool) -> None:
        side.ready(pool.case)
        side.bind(pool.batches[0][0], len(pool.batches[0]))

    def _own(self, pool: Pool, batch: int) -> float:
        """Seconds a call of the reference for one batch."""
        if self._timer_case != pool.case.name:
            self._prepare(self._timer, pool)
            self._timer_case = pool.case.name
        try:
            return self._batch(self._timer, pool, batch, check=False)[0]
        except Rejection as rejection:
            raise TaskError(
                f"the reference stopped working while it was timed: {rejection}",
                where=self._reference.task.source.filename,
            ) from rejection

    def _batch(self, side: CandidateSide, pool: Pool, batch: int, *, check: bool) -> tuple[float, int]:
        """Reveals a batch's inputs, runs it, checks every output. Returns seconds a call and how many outputs were
        checked."""
        inputs = pool.batches[batch]
        if any(state.mutated for state in self._reference.info.state):
            side.restore(pool.case)
        side.reveal(inputs)
        outputs, seconds = side.run(len(inputs))
        if check:
            try:
                side.compare(outputs, pool.expected[batch])
            except Rejection as rejection:
                raise Rejection(
                    rejection.reason, f"a timed call: {rejection}", case=pool.case.name, **rejection.evidence
                ) from rejection
            side.poison(outputs)
        return max(seconds - pool.handover, 1e-9) / len(inputs), len(inputs) * len(outputs[0]) if check else 0

    def _fill(self, case: CaseInfo) -> Pool:
        """Draws the inputs: as many calls a batch as the reference needs to be timed well, as many batches as memory
        allows."""
        answer = self._reference.answer(case)
        assert answer is not None
        worker = self._timer.worker
        one = self._reference.inputs(case, worker=worker)
        results = sum(out.exact.nbytes // 2 for out in answer.outputs if out.exact is not None)
        held = one.nbytes + results + 1
        self._timer.ready(case)
        self._timer.bind(one)
        self._timer.reveal([one])
        seconds = min(self._timer.run(1)[1] for _ in range(3))
        calls = max(1, min(math.ceil(BATCH_SECONDS / max(seconds, 1e-7)), MAX_CALLS, POOL_BYTES // held // BATCHES))
        count = max(3, min(BATCHES, POOL_BYTES // (held * calls)))
        batches = [[self._reference.inputs(case, worker=worker) for _ in range(calls)] for _ in range(count)]
        pool = Pool(case, batches, [])
        self._prepare(self._timer, pool)
        self._timer_case = case.name
        pool.handover = min(self._timer.run(0)[1] for _ in range(5))
        for inputs in batches:
            self._timer.reveal(inputs)
            outputs, _ = self._timer.run(calls)
            pool.expected.append(self._expected(outputs, answer.outputs))
        return pool

    def _expected(self, outputs: list[list[dict[str, Any]]], base: tuple[Expected, ...]) -> tuple[Expected, ...]:
        """The reference's outputs of a batch as what a candidate is checked against: its own error is added to what is
        allowed."""
        claims = [check_form(call, base) for call in outputs]
        found = []
        for index, want in enumerate(base):
            held = [claim for claim in (call[index] for call in claims) if claim is not None]
            if not held:
                found.append(want)
                continue
            stack = tensors.read(self._timer.worker, held)
            exact = np.ascontiguousarray(stack if len(held) > 1 else stack[0])
            if want.bound is None:
                found.append(replace(want, exact=exact, alternative=None))
                continue
            exact = (
                exact if want.dtype in ("float32", "float64") else tensors.widen(exact, want.dtype).astype(np.float32)
            )
            bound = replace(
                want.bound,
                max=want.bound.max + want.bound.reference_max,
                mean=want.bound.mean + want.bound.reference_mean,
            )
            found.append(replace(want, exact=exact, magnitude=numerics.scale(exact, want.dtype), bound=bound))
        return tuple(found)


def _enough(own: list[float], theirs: list[float], elapsed: float) -> bool:
    if len(own) < MIN_PAIRS:
        return False
    return (
        len(own) >= MAX_PAIRS
        or elapsed > SECONDS
        or interval([a / b for a, b in zip(theirs, own, strict=True)]).width < WIDTH
    )
