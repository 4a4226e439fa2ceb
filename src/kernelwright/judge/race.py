"""The final comparison: several contestants and the reference, timed in turn."""

from __future__ import annotations

import secrets
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from kernelwright.errors import TaskError
from kernelwright.judge.candidate import CandidateSide
from kernelwright.judge.pairs import MAX_PAIRS, MIN_PAIRS, Interval, speedup
from kernelwright.judge.pools import Pool, Reference, prepare
from kernelwright.judge.rejection import Rejection
from kernelwright.judge.timing import SECONDS, Stopwatch
from kernelwright.judge.verdict import ComparisonRow

T = TypeVar("T")
EAGER, COMPILED = "eager", "torch.compile"


class Abandoned(Exception):
    """Nobody waits for the result any longer."""


@dataclass
class Race:
    """Contestants in turn, A B C A B C; one that fails leaves the race, and the others go on. Life cycle: `run`, once.

    Attributes:
        lasting: trusted contestants (torch.compile), each kept in one worker.
        fresh: makes a candidate's worker, once for every pool; their outputs are checked.
        floor: says what the floor is at this moment, in seconds.
        abandoned: set by another thread to end the race.
        times: seconds a call of each one that is still in it, comparable index by index.
        floors: the floor beside each.
        failed: what went wrong with the others.
    """

    stopwatch: Stopwatch
    pool: Pool
    lasting: dict[str, Reference]
    fresh: dict[str, Callable[[], CandidateSide]]
    floor: Callable[[], float]
    abandoned: threading.Event
    times: dict[str, list[float]] = field(default_factory=dict, init=False)
    floors: list[float] = field(default_factory=list, init=False)
    failed: dict[str, str] = field(default_factory=dict, init=False)

    def run(self, limit: float | None) -> None:
        """Until there are enough rows, or for `limit` seconds, but `2 * MIN_PAIRS` rows at least.

        Raises:
            TaskError: the reference fails.
            Abandoned: `abandoned` was set.
        """
        self.times = {name: [] for name in (EAGER, *self.lasting, *self.fresh)}
        self.stopwatch.pools.calibrate(self.pool)
        self.pool.told = True  # the rows, and who is missing, may say something of it
        seconds = SECONDS * len(self.times)
        until = time.monotonic() + (seconds if limit is None else min(seconds, limit))
        for name, side in self.lasting.items():
            with self._dropping(name):
                prepare(side, self.pool)
        rows = self.times[EAGER]
        while len(rows) < 2 * MIN_PAIRS or (time.monotonic() < until and len(rows) < MAX_PAIRS):
            self._life()

    def rows(self) -> tuple[ComparisonRow, ...]:
        """What was measured, over eager and over torch.compile."""
        return tuple(self._row(name) for name in self.times)

    def _row(self, name: str) -> ComparisonRow:
        ratio, compiled = self._ratio(EAGER, name), self._ratio(COMPILED, name) if COMPILED in self.times else None
        return ComparisonRow(
            name=name,
            time_us=1e6 * statistics.median(self.times[name]),
            speedup=ratio.median,
            speedup_ci=(ratio.low, ratio.high),
            speedup_over_compile=compiled.median if compiled else None,
            # What measures the floor has no more ways to move data than we could think of.
            floor_share=min(
                1.0, statistics.median(floor / own for floor, own in zip(self.floors, self.times[name], strict=True))
            ),
        )

    def _ratio(self, over: str, name: str) -> Interval:
        return speedup(self.times[over], self.times[name])

    def _life(self) -> None:
        """Every batch once, in new workers of the candidates; the first warms them up, and one that nobody can know is
        looked into instead of being timed."""
        living: dict[str, CandidateSide] = {}
        try:
            for name, make in self._running(self.fresh):
                with self._dropping(name):
                    living[name] = make()
                    prepare(living[name], self.pool)
            count = len(self.pool.batches)
            looked_into = 2 + secrets.randbelow(count - 2) if len(self.pool.batches[0]) > 1 and count > 2 else None
            for batch in range(count):
                if batch == looked_into:
                    for name, side in self._running(living):
                        with self._dropping(name):
                            self.stopwatch.look_into(side, self.pool, batch, self.times[name][-1], None)
                    continue
                row = self._turn({**self.lasting, **living}, batch)
                floor = self.floor()
                if batch > 0:
                    self.floors.append(floor)
                    for name, seconds in self.times.items():
                        seconds.append(row[name])
        finally:
            for side in living.values():
                side.worker.close()

    def _turn(self, sides: dict[str, CandidateSide], batch: int) -> dict[str, float]:
        if self.abandoned.is_set():
            raise Abandoned
        row = {EAGER: self.stopwatch.own(self.pool, batch)}
        for name, side in self._running(sides):
            with self._dropping(name):
                row[name] = self.stopwatch.batch(side, self.pool, batch, check=name in self.fresh)[0]
        return row

    def _running(self, contestants: dict[str, T]) -> list[tuple[str, T]]:
        return [(name, contestant) for name, contestant in contestants.items() if name in self.times]

    @contextmanager
    def _dropping(self, name: str) -> Iterator[None]:
        """Takes a contestant out that fails. A `TaskError` is a trusted contestant's failure, else the reference's."""
        try:
            yield
        except (Rejection, TaskError) as error:
            if isinstance(error, TaskError) and name not in self.lasting:
                raise
            self.failed[name] = str(error)
            del self.times[name]
