"""Workers of a candidate that are started while others have the device.

A process on a device takes a quarter of a second to start and a tenth for its first call, and compiling for shapes that
it has not met takes seconds; all of it needs the host alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from kernelwright.judge.background import in_thread
from kernelwright.judge.candidate import CandidateSide
from kernelwright.judge.rehearsal import rehearse
from kernelwright.judge.rejection import Rejection
from kernelwright.tasks import CaseInfo

if TYPE_CHECKING:
    from kernelwright.judge.evaluation import Evaluation

WAITING = 4
"""Candidates of a judge that have such workers at a time: each worker holds half a gigabyte of the device."""


class Ahead:
    """The workers of one candidate. Life cycle: `start` some of each kind, or none; `take` them, each once; `close`."""

    def __init__(self) -> None:
        self._ready: dict[str, list[CandidateSide]] = {}

    def start(self, kind: str, make: Callable[[], CandidateSide], cases: Sequence[tuple[CaseInfo, int]]) -> None:
        """Makes one more, and rehearses so many calls of these cases in it. What goes wrong is for the stage to find
        that needs it: it makes another."""
        try:
            side = make()
        except Rejection:
            return
        self._ready.setdefault(kind, []).append(side)
        try:
            for case, calls in cases:
                rehearse(side, case, calls)
        except Rejection:
            side.worker.close()

    def take(self, kind: str, make: Callable[[], CandidateSide]) -> CandidateSide:
        """One of a kind that is still alive; where there is none, a new one. Raises `Rejection`."""
        ready = self._ready.get(kind, [])
        while ready:
            side = ready.pop(0)
            if not side.worker.closed:
                return side
        return make()

    def close(self) -> None:
        """Ends those that nobody took."""
        for sides in self._ready.values():
            for side in sides:
                side.worker.close()
        self._ready = {}


class Anteroom:
    """Where candidates get ready for the device. Life cycle: made once a judge, which says whether it `pays`."""

    def __init__(self, *, pays: bool) -> None:
        self._pays, self._places = pays, asyncio.Semaphore(WAITING)

    @asynccontextmanager
    async def ready(self, evaluation: Evaluation) -> AsyncIterator[None]:
        """Around a candidate's turn: its workers are started first, once there is a place."""
        if not self._pays:
            yield
            return
        async with self._places:
            await in_thread(evaluation.get_ready, abort=evaluation.abort)
            yield
