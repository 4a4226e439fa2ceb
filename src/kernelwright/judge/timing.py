"""How fast: the reference and a candidate run in turn, each in its own process, on the judge's clock, on inputs never
seen before."""

from __future__ import annotations

import math
import random
import secrets
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from kernelwright.judge.answer import Expected, Inputs
from kernelwright.judge.candidate import SAMPLE, CandidateSide
from kernelwright.judge.halfway import Look, Pace, late
from kernelwright.judge.pairs import MIN_PAIRS, WIDE, Pairs
from kernelwright.judge.pools import Pool, Pools, prepare
from kernelwright.judge.rejection import Rejection
from kernelwright.judge.verdict import CaseTiming
from kernelwright.targets import threads
from kernelwright.tasks import CaseInfo

SECONDS, GLANCE = 2.0, 0.4
"""Time for the pairs of one candidate on one case, beyond `MIN_PAIRS` of them: usually, and where it is to be brief, on
the first case; those that matter are measured again on that, side by side."""
LEAST_HANDOVERS = 4.0
"""Batches that take less than so many times one of no calls say nothing of a candidate's pace."""
_SURE = 2
"""Pairs that say how long a candidate's batches should be."""
BEHIND = 0.95
"""A candidate whose interval ends below this share of the speedup to beat is not measured to the end."""


@dataclass(frozen=True)
class Duel:
    """What timing a candidate on a case gave: the timing, whether it ended early, and how many outputs were checked."""

    timing: CaseTiming
    stopped: bool
    checked: int


class Stopwatch:
    """Times candidates against the reference. Life cycle: made once a judge."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools

    def duel(
        self,
        case: CaseInfo,
        fresh: Callable[[], CandidateSide],
        floor_us: float,
        to_beat: float | None,
        *,
        brief: bool = False,
    ) -> Duel:
        """Times one candidate on a case: A B A B, the speedup being the median of paired ratios.

        Args:
            case: the case.
            fresh: makes a worker with the candidate loaded, once for every `BATCHES` batches.
            floor_us: the case's floor in µs, for the report.
            to_beat: a speedup; a candidate that is clearly below it is not measured to the end.
            brief: whether a glance will do on the first case.

        Raises `Rejection`.
        """
        pool = self.pool(case)
        self.pools.calibrate(pool)
        brief = brief and case.name == self.pools.reference.info.tune_case.name
        measured = partial(Pairs, GLANCE, WIDE) if brief else partial(Pairs, SECONDS)
        pairs, pace, given = measured(), Pace(), pool
        checked, stopped, waits = 0, False, self.pools.timer.waits
        while not stopped and (not pairs.enough or pace.doubtful):
            side = fresh()
            side.waits = waits
            try:
                checked += self._life(side, pool, given, pairs, pace)
                waits = side.waits
                if given is pool and (calls := self._calls(pool, pairs)) < len(pool.batches[0]):
                    pairs, pace, given = measured(), Pace(), pool.shortened(calls)
                    continue
                pace.check()
                stopped = to_beat is not None and len(pairs) >= MIN_PAIRS and pairs.speedup.high < BEHIND * to_beat
            finally:
                side.worker.close()
        pool.note_verdict()
        speedup = pairs.speedup
        if pairs.unstable and not stopped:
            raise Rejection(
                "unstable_timing",
                f"after {len(pairs)} pairs the speedup is only known to lie in {speedup.low:.2f} .. {speedup.high:.2f}",
                times_us=[1e6 * value for value in pairs.own],
            )
        timing = CaseTiming(
            case=case.name,
            time_us=1e6 * statistics.median(pairs.own),
            reference_us=1e6 * statistics.median(pairs.theirs),
            floor_us=floor_us,
            speedup=speedup.median,
            speedup_ci=(speedup.low, speedup.high),
            pairs=len(pairs),
            calls=len(pool.batches[0]),
        )
        return Duel(timing, stopped, checked)

    def _restore(self, side: CandidateSide, pool: Pool) -> None:
        """Before a batch: undoes what the one before has done to the state. Raises `Rejection`."""
        if side.spoilt or self.pools.reference.changed:
            side.restore(pool.case)

    def pool(self, case: CaseInfo) -> Pool:
        """The inputs for a case's timed calls."""
        return self.pools.pool(case)

    def own(self, pool: Pool, batch: int) -> float:
        """Seconds a call of the reference for one batch. Raises `TaskError`."""
        with self.pools.trusted():
            self.pools.prepare_timer(pool)
            return self.batch(self.pools.timer, pool, batch, check=False)[0]

    def batch(self, side: CandidateSide, pool: Pool, batch: int, *, check: bool) -> tuple[float, int]:
        """Reveals a batch's inputs, runs it, checks every output. Returns seconds a call and how many outputs were
        checked. Raises `Rejection`."""
        inputs = pool.batches[batch]
        self._restore(side, pool)
        outputs, seconds = side.run(inputs, timed=True)
        if check:
            self._check(side, pool, inputs, outputs, pool.expected[batch], pool.states[batch])
        assert pool.handover is not None
        if side.waits == self.pools.timer.waits:  # else it is handed its batches in another way
            seconds -= min(pool.handover, side.worker.space.batching.handover * seconds)
        return seconds / len(inputs), len(inputs) * len(outputs[0]) if check else 0

    def _calls(self, pool: Pool, pairs: Pairs) -> int:
        """How many calls of a candidate take about as long as the reference's batch, to a power of two: cores that were
        idle are slow at first, which is to weigh as much on both sides. No more than the reference's; as many where a
        call's state depends on those before it.

        By the quickest of at least two: a batch that something else has disturbed would have all others measured by too
        few calls."""
        count = len(pool.batches[0])
        if len(pairs) < _SURE or self.pools.reference.changed:
            return count
        slower = min(pairs.own) / statistics.median(pairs.theirs)
        return max(1, count >> max(0, round(math.log2(slower))))

    def _check(
        self,
        side: CandidateSide,
        pool: Pool,
        inputs: list[Inputs],
        outputs: list[list[dict[str, Any]]],
        expected: tuple[Expected, ...],
        state: dict[str, Expected],
    ) -> None:
        """Checks all that a batch has left: every output, the state, and the inputs of one call, nobody knows which."""
        answer = self.pools.reference.own_answer(pool.case)
        slot = secrets.randbelow(len(inputs))
        side.compare(outputs, expected)
        side.compare_state(state)
        side.apart(answer, inputs[0])
        side.unchanged(answer, inputs[slot], slot, SAMPLE)
        side.poison()

    def _theirs(self, pool: Pool, batch: int, pairs: Pairs) -> float:
        """`own`, with how long its threads have waited for their cores; on a device they are not what is timed."""
        worker = self.pools.timer.worker
        if worker.lane is not None:
            return self.own(pool, batch)
        waited = threads.waited(worker.pid)
        seconds = self.own(pool, batch)
        pairs.waited += max(0.0, threads.waited(worker.pid) - waited)
        pairs.took += seconds * len(pool.batches[batch])
        return seconds

    def look_into(self, side: CandidateSide, pool: Pool, batch: int, seconds: float | None, pace: Pace | None) -> int:
        """Runs a batch that is not timed, with a look into its middle, after a share of its time that nobody knows.

        Args:
            side: the candidate.
            pool: its inputs.
            batch: which of them.
            seconds: what a call has taken so far; None before anything was timed.
            pace: what this look is added to, if it is.

        Returns:
            How many outputs were checked. Raises `Rejection`.
        """
        inputs = pool.batches[batch]
        self._restore(side, pool)
        spare = pool.batches[(batch + 1 + secrets.randbelow(len(pool.batches) - 1)) % len(pool.batches)]
        answer = self.pools.reference.own_answer(pool.case)
        look = Look(side, inputs, spare, answer)
        look.clear()
        assert pool.handover is not None
        total, handover = (seconds or pool.seconds) * len(inputs), pool.handover
        total = min(total + handover, total / (1 - side.worker.space.batching.handover))  # see `batch`
        # Of a queue the judge says itself how far it is.
        if side.worker.lane is not None or seconds is None:
            pace = None
        elif pace is not None and total < LEAST_HANDOVERS * pool.idle:
            pace.passed_over()
            pace = None
        least = late(len(inputs)) if pace is not None and (pace.doubtful or not pace.late) else 0.0
        halfway = random.SystemRandom().uniform(least, 1.0) * total, look.take
        outputs, _ = side.run(inputs, halfway=halfway, timed=True)
        expected, state = pool.expected[batch], pool.states[batch]
        if pace is not None:
            pace.note(look, total)
        if look.begun >= 0:
            look.check(outputs)
            found = self.pools.solve(pool, look.inputs)
            if found is None:
                side.poison()
                return 0
            expected, state = found
        self._check(side, pool, look.slots, outputs, expected, state)
        return len(inputs) * len(outputs[0])

    def _life(self, side: CandidateSide, pool: Pool, given: Pool, pairs: Pairs, pace: Pace) -> int:
        """One worker's batches: a warm-up, then pairs, until there are enough and its pace is beyond doubt, or the
        first ones say that what it is given should be shorter. Returns how many outputs were checked.

        Args:
            side: the candidate.
            pool: the reference's batches.
            given: the candidate's: the same ones, or their first calls. All of a life's are as long: nothing tells it
                which is timed and which is looked into.
            pairs: what is measured is added to these.
            pace: what looks say is added to this.
        """
        prepare(side, given)
        checked = 0
        # The warm-up and one other batch, which the candidate cannot know, are looked into instead of being timed.
        looked_into = {0, 1 + secrets.randbelow(len(given.batches) - 1)} if len(given.batches[0]) > 1 else set()
        for batch in range(len(given.batches)):
            if batch in looked_into:
                # The worker's first batch is slow to begin, as is known.
                checked += self.look_into(side, given, batch, pairs.usual, pace if batch else None)
                continue
            first = len(pairs) % 2 == 0
            before = self._theirs(pool, batch, pairs) if first else 0.0
            seconds, count = self.batch(side, given, batch, check=True)
            after = before if first else self._theirs(pool, batch, pairs)
            checked += count
            if batch > 0:
                pairs.add(seconds, after)
            too_long = given is pool and len(pairs) == _SURE and self._calls(pool, pairs) < len(pool.batches[0])
            if too_long or (pairs.enough and not pace.doubtful):
                break
        return checked
