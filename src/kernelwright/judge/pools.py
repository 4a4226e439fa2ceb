"""Inputs for timed calls, drawn and answered by the reference before anything is timed."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from typing import Any

import numpy as np

from kernelwright.errors import TaskError
from kernelwright.judge import numerics, tensors
from kernelwright.judge.answer import Expected, Inputs, leaves
from kernelwright.judge.candidate import CandidateSide, same_memory
from kernelwright.judge.reference import LOAD_TIMEOUT, ReferenceSide
from kernelwright.judge.rejection import Rejection
from kernelwright.judge.tensors import Array, BadTensor, Claim
from kernelwright.tasks import CaseInfo

BATCHES = 8
"""Batches of fresh inputs for each life of a worker; the first warms it up."""
CALIBRATION_CALLS = 64
"""Calls in a row by which the reference's time is first measured."""
VERDICT_BITS = 64
"""What the times of an accepted candidate can say, which chooses them by what it has seen."""
_SAMPLE = 1 << 12
HANDOVERS = 8
"""Batches that say what handing over takes."""


class _NotAlike(Exception):
    """The reference's outputs of several calls are no stack: of many shapes, or in memory that the next one changes."""


@dataclass
class Pool:
    """Inputs for timed calls in batches, and the reference's outputs for each, by which every timed call is checked.

    `handover`: seconds that a batch takes beside its calls (see `Pools.calibrate`); `seconds`: about those of a call;
    `alike`: whether the results of several calls can lie side by side; `told`: whether a candidate may have told it."""

    case: CaseInfo
    batches: list[list[Inputs]]
    expected: list[tuple[Expected, ...]]
    """For each batch, the outputs stacked over its calls."""
    states: list[dict[str, Expected]] = field(default_factory=list)
    """For each batch, the state after its last call: what forward changes."""
    handover: float | None = None
    idle: float = 0.0
    """Seconds that a batch of no calls takes, known with `handover`."""
    seconds: float = 0.0
    alike: bool = True
    told: bool = False
    verdicts: int = 0
    """On candidates that were timed on these inputs."""
    couple: Pool | None = None
    """One batch of two calls, where the others have one."""

    def shortened(self, calls: int) -> Pool:
        """The first calls of each batch, of more than one."""
        return replace(
            self,
            batches=[inputs[:calls] for inputs in self.batches],
            expected=[tuple(want.of_first(calls) for want in wants) for wants in self.expected],
        )

    def note_verdict(self) -> None:
        """One more candidate has been timed on it; in the end their times could have told the answers of a batch."""
        self.verdicts += 1
        bits = sum(_bits(want.exact) for want in self.expected[0] if want.exact is not None)
        self.told |= self.verdicts * VERDICT_BITS >= bits

    @property
    def nbytes(self) -> int:
        """Memory it holds."""
        answers = sum(want.nbytes for batch in self.expected for want in batch)
        return sum(item.nbytes for batch in self.batches for item in batch) + answers


class Reference(CandidateSide):
    """The reference as a contestant, eager or compiled: its own state, drawn as the judge drew it, instead of a
    copy."""

    compiled: bool = False

    def ready(self, case: CaseInfo) -> list[str]:
        """Makes the reference's model for the case; the same seed gives the same state."""
        places = self.reference.construct(case, worker=self.worker, compiled=self.compiled)
        with self.trusting("its parameters"):
            self.state = tuple(Claim.parse(place) for place in places)
        return []

    def restore(self, case: CaseInfo) -> None:
        """Makes it anew, unless that would compile it again (its outputs are not looked at)."""
        if not self.compiled:
            self.ready(case)


class Pools:
    """Life cycle: made once a judge, with the reference's timing worker, which it shares with the stopwatch alone. With
    `one_call` a batch is one call, however short."""

    def __init__(self, reference: ReferenceSide, timer: Reference, *, one_call: bool = False) -> None:
        self.reference, self.timer, self._one_call = reference, timer, one_call
        self._pools: dict[str, Pool] = {}
        self._timer_case = ""

    def pool(self, case: CaseInfo) -> Pool:
        """The inputs for a case's timed calls, with the reference's outputs; drawn once, and again where a candidate
        may have told what they were."""
        held = self._pools.get(case.name)
        if held is None:
            with self.trusted():
                new = self._fill(case)
            most = self.timer.worker.space.batching.bytes
            while self._pools and new.nbytes + sum(pool.nbytes for pool in self._pools.values()) > most:
                del self._pools[next(iter(self._pools))]
            self._pools[case.name] = new
        elif held.told:
            del self._pools[case.name]
            with self.trusted():
                self._pools[case.name] = self._draw_anew(held)
        return self._pools[case.name]

    def calls(self, case: CaseInfo) -> int:
        """Those in a batch of a case's, as far as they are known by now; at least one."""
        held = self._pools.get(case.name)  # which another thread may be drawing anew
        return 1 if held is None else max(map(len, held.batches[:1]), default=1)

    @contextmanager
    def secret(self, case: CaseInfo) -> Iterator[None]:
        """Around everything in which a candidate sees inputs of a case's timed calls. What is said of one that is
        rejected here may say what they were, to whoever writes the next: that one is timed on others."""
        try:
            yield
        except Rejection:
            if case.name in self._pools:
                self._pools[case.name].told = True
            raise

    def couple(self, case: CaseInfo) -> Pool | None:
        """A pool whose batches are two calls or more; None where the reference's own results do not outlive the next
        call."""
        pool = self.pool(case)
        if not pool.alike or len(pool.batches[0]) > 1:
            return pool if pool.alike else None
        if pool.couple is None:
            try:
                with self.trusted():
                    pool.couple = self._answered(case, [pool.batches[0] + pool.batches[1]])
            except _NotAlike:
                pool.alike = False
            self._timer_case = ""
        return pool.couple

    @contextmanager
    def trusted(self) -> Iterator[None]:
        """Around what the reference's timing worker does. Raises `TaskError`: what goes wrong is the task's fault."""
        try:
            yield
        except Rejection as rejection:
            raise TaskError(
                f"the reference stopped working while it was timed: {rejection}",
                where=self.reference.task.source.filename,
            ) from rejection

    def prepare_timer(self, pool: Pool) -> None:
        """Makes the reference's timing worker ready for the pool's batches, if it is not."""
        if self._timer_case != pool.case.name:
            prepare(self.timer, pool)
            self._timer_case = pool.case.name

    def _fill(self, case: CaseInfo) -> Pool:
        """Draws the inputs: as many calls a batch as the reference needs to be timed well, as many batches as memory
        allows."""
        worker = self.timer.worker
        one = self.reference.inputs(case, worker=worker)
        results = sum(out.exact.nbytes // 2 for out in self.base(case) if out.exact is not None)
        held = one.nbytes + results + 1
        batching = worker.space.batching
        share = batching.bytes // sum(other.role == "tune" for other in self.reference.info.cases)
        self.timer.ready(case)
        seconds = self._call_seconds(one, max(1, min(CALIBRATION_CALLS, share // held)))
        wanted = 1 if self._one_call else math.ceil(batching.seconds / max(seconds, 1e-7))
        calls = max(1, min(wanted, batching.calls, share // held // BATCHES))
        count = max(3, min(BATCHES, share // (held * calls)))
        pool = self._draw(case, one, calls, count)
        pool.seconds = seconds
        return pool

    def _draw(self, case: CaseInfo, like: Inputs, calls: int, count: int) -> Pool:
        """So many batches of so many calls on fresh inputs, answered by the reference."""
        worker, self._timer_case = self.timer.worker, ""
        batches = [list(self.reference.draws(case, calls, worker=worker)) for _ in range(count)]
        if any(inputs.tensors != like.tensors for batch in batches for inputs in batch):
            raise TaskError(
                "two draws of its inputs differ in shape or dtype",
                where=self.reference.task.source.filename,
                remedy="draw the same shapes each time, and add others in get_cases()",
            )
        try:
            pool = self._answered(case, batches)
        except _NotAlike:
            pool = self._answered(case, [inputs[:1] for inputs in batches])
            pool.alike = False
        self._timer_case = case.name
        self.reference.call("trim", LOAD_TIMEOUT, worker=worker)
        return pool

    def _draw_anew(self, old: Pool) -> Pool:
        """A pool like this one, with other inputs; what was measured with it stands."""
        like, calls, count, old.couple = old.batches[0][0], len(old.batches[0]), len(old.batches), None
        for held in (old.batches, old.expected, old.states):  # up to a gigabyte
            held.clear()
        new = self._draw(old.case, like, calls, count)
        if len(new.batches[0]) == calls:
            new.handover, new.idle = old.handover, old.idle
        new.seconds, new.alike = old.seconds, new.alike and old.alike
        return new

    def _call_seconds(self, one: Inputs, most: int) -> float:
        """Seconds of the reference's call: of many in a row where one is short, so that what disturbs a batch on a busy
        machine does not count as the call's."""
        self.timer.bind(one)
        self.timer.reveal([one])
        seconds = self._quickest(1)
        if seconds > self.timer.worker.space.batching.seconds or most == 1:
            return seconds
        self.timer.bind(one, most)
        self.timer.reveal([one] * most)
        return min(seconds, max(self._quickest(most) - self._quickest(0), 1e-7) / most)

    def calibrate(self, pool: Pool) -> None:
        """Measures the pool's hand-over, once, with the machine to ourselves, as cold as inputs that have just been
        written leave the caches.

        What n calls take is h + n t, and what one takes h + t: threads that were stopped wake up for the first call.
        Where n is small, that is the difference of two long times, so h is what a batch of no calls takes. Raises
        `TaskError`.
        """
        if pool.handover is not None:
            return
        count = len(pool.batches[0])
        with self.trusted():
            self.prepare_timer(pool)
            pool.idle = pool.handover = self._usual(pool, 0)
            if count >= self.timer.worker.space.batching.many:
                one, all_of_them = self._usual(pool, 1), self._usual(pool, count)
                pool.handover = max(pool.idle, (count * one - all_of_them) / (count - 1))

    def _usual(self, pool: Pool, calls: int) -> float:
        """Seconds of the reference's batch of so many calls, at the median; on a device, which other programs may take
        for milliseconds, of the quickest."""
        batches = islice(cycle(pool.batches), HANDOVERS)
        usual = statistics.median if self.timer.worker.lane is None else min
        return usual(self.timer.run(inputs, calls=calls, timed=True)[1] for inputs in batches)

    def _quickest(self, calls: int) -> float:
        """Seconds of the reference's quickest batch of so many calls, of several."""
        start = time.monotonic()
        times: list[float] = []
        while len(times) < 5 or (len(times) < 12 and time.monotonic() - start < 0.15):
            times.append(self.timer.run([], calls=calls, timed=True)[1])
        return min(times)

    def base(self, case: CaseInfo) -> tuple[Expected, ...]:
        """What one call returns on the case's own inputs."""
        return self.reference.own_answer(case).outputs

    def solve(self, pool: Pool, inputs: list[Inputs]) -> tuple[tuple[Expected, ...], dict[str, Expected]] | None:
        """What the reference makes of other inputs than the pool's: outputs, and the state after the last call; None
        where the shapes of its outputs depend on them."""
        with self.trusted():
            self.prepare_timer(pool)
            try:
                return self._answer(pool.case, inputs)
            except _NotAlike:
                return None

    def _answered(self, case: CaseInfo, batches: list[list[Inputs]]) -> Pool:
        """The pool of these batches, with the reference's outputs. Raises `_NotAlike`."""
        pool = Pool(case, batches, [])
        prepare(self.timer, pool)
        for inputs in batches:
            expected, state = self._answer(case, inputs)
            pool.expected.append(expected)
            pool.states.append(state)
        return pool

    def _answer(self, case: CaseInfo, inputs: list[Inputs]) -> tuple[tuple[Expected, ...], dict[str, Expected]]:
        """What a candidate's outputs and state after a batch are checked against. Raises `_NotAlike`."""
        base = self.base(case)
        wide = any(want.alternative is not None or want.by for want in base)
        found = self._run(case, inputs, base, wide=wide)
        overflow = any(want.bound and want.exact is not None and not np.isfinite(want.exact).all() for want in found)
        # Float64 may be finite where the reference is not, and a candidate may be, too.
        if overflow and not wide:
            found = self._run(case, inputs, base, wide=True)
        return found, self._state(case)

    def _state(self, case: CaseInfo) -> dict[str, Expected]:
        """The state that the reference's last run left."""
        answer = self.reference.own_answer(case)
        found = {}
        for entry in self.timer.left:
            want = answer.state.get(entry["name"])
            if want is not None:
                with self.timer.trusting(f"buffer {entry['name']}"):
                    own = np.ascontiguousarray(tensors.read(self.timer.worker, [Claim.parse(entry)])[0])
                found[entry["name"]] = _lenient(want, own, None)
        return found

    def _run(
        self, case: CaseInfo, inputs: list[Inputs], base: tuple[Expected, ...], *, wide: bool
    ) -> tuple[Expected, ...]:
        """The reference's outputs for a batch; with float64's beside them if `wide`. Raises `_NotAlike`."""
        timer = self.timer
        if self.reference.changed:
            timer.restore(case)
        exact: list[list[Array | None]] = []
        if wide:  # in float64 first, since the own run may change the model's state and its arguments
            timer.reveal(inputs)
            by = max((want.by for want in base), default=0.0)
            exact = [self._in_float64(case, len(inputs), base, each) for each in ((0.0, -by, by) if by else (0.0,))]
        outputs, _ = timer.run(inputs)
        return tuple(self._expected(outputs, exact, index, want) for index, want in enumerate(base))

    def _expected(
        self, outputs: list[list[dict[str, Any]]], exact: list[list[Array | None]], index: int, want: Expected
    ) -> Expected:
        """One output of a batch: the reference's own error is added to what is allowed. Raises `_NotAlike`."""
        if not want.dtype:
            return want
        with self.timer.trusting(f"output {index}"):
            held = (
                [Claim.parse(call[index]) for call in outputs]
                if want.argument is None
                else self.timer.arguments(want, len(outputs))
            )
        if len({claim.shape for claim in held}) > 1 or self._overwritten(held):
            raise _NotAlike
        with self.timer.trusting(f"output {index}"):
            stack = tensors.read(self.timer.worker, held, kept=True)
        own = np.ascontiguousarray(stack if len(held) > 1 else stack[0])
        other, *ties = [answers[index] for answers in exact] or [None]
        return replace(_lenient(want, own, other), shape=held[0].shape).beside(want.by, ties)

    def _overwritten(self, held: list[Claim]) -> bool:
        """Whether the results of several calls are one memory that each call writes anew: not so where forward returns
        state that it does not change."""
        own = [claim for claim in held if not any(same_memory([claim, state]) for state in self.timer.state)]
        return same_memory(held if self.reference.changed else own)

    def _in_float64(self, case: CaseInfo, count: int, base: tuple[Expected, ...], by: float) -> list[Array | None]:
        """The outputs of a float64 run, stacked like the reference's own, None where they are not alike; of one with
        numbers moved `by` a share of them, those that are not floating."""
        reply = self.reference.exact("exact", case, self.timer.worker, count=count, by=by)
        calls = [leaves(answer) for answer in reply["answers"]] if reply else []
        wanted = [bool(want.dtype) and (not by or want.bound is None) for want in base]
        return [self._stacked(calls, index) if calls and wants else None for index, wants in enumerate(wanted)]

    def _stacked(self, calls: list[list[dict[str, Any]]], index: int) -> Array | None:
        with self.timer.trusting(f"output {index}"):
            try:
                held = [Claim.parse(call[index]) for call in calls]
                stack = np.ascontiguousarray(tensors.read(self.timer.worker, held, kept=True))
            except (BadTensor, IndexError):
                return None
        array: Array = stack if len(held) > 1 else stack[0]
        return tensors.widen(array, held[0].dtype) if held[0].dtype in tensors.UNIT_ROUNDOFF else array


def _bits(answer: Array) -> float:
    """About how many it takes to say what an output is."""
    return answer.size * max(1.0, math.log2(max(1, np.unique(answer.reshape(-1)[:_SAMPLE]).size)))


def _lenient(want: Expected, own: Array, exact: Array | None) -> Expected:
    """`want` with the reference's own result in place of the exact one; what is allowed was measured on one call."""
    if want.bound is None:
        exact = exact if exact is not None and (exact.dtype, exact.shape) == (own.dtype, own.shape) else None
        return replace(want, exact=own, alternative=exact, ties=())
    if want.dtype in ("float16", "bfloat16"):
        own = tensors.single(own, want.dtype)
    assert want.exact is not None
    bound = want.bound.beside_reference(numerics.growth(want.exact.size, own.size))
    exact = exact if exact is not None and exact.shape == own.shape and not np.isfinite(own).all() else None
    return replace(want, exact=own, alternative=exact, magnitude=numerics.scale(own, want.dtype), bound=bound)


def prepare(side: CandidateSide, pool: Pool) -> None:
    """Makes a contestant ready for the pool's batches."""
    side.ready(pool.case)
    side.bind(pool.batches[0][0], len(pool.batches[0]))
