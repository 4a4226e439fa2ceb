"""Workers that are started before a candidate's turn, where starting one takes as long as much of the turn: on a
device."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager

from kernelwright.judge.candidate import CandidateSide

_CANDIDATES = 3
"""Candidates that have workers while they wait: each process takes some hundred megabytes, on the device as well."""


class Ahead:
    """The workers of one candidate. Life cycle: made with an evaluation; `begin` at most once, then `take` for each
    worker that is needed, `end` at the end."""

    def __init__(self) -> None:
        self._sides: deque[Future[CandidateSide]] = deque()
        self._ended = False

    def begin(self, make: Callable[[], CandidateSide], count: int) -> None:
        """Starts so many workers beside each other."""
        if self._ended:
            return
        starters = ThreadPoolExecutor(count, thread_name_prefix="ahead")
        self._sides.extend(starters.submit(make) for _ in range(count))
        starters.shutdown(wait=False)

    def take(self) -> CandidateSide | None:
        """One of them, once it has started; None if there is none left. Raises what its start raised."""
        return self._sides.popleft().result() if self._sides else None

    def end(self) -> None:
        """Ends those that nobody has taken, as soon as they have started."""
        self._ended = True
        while self._sides:
            self._sides.popleft().add_done_callback(_end)


def _end(made: Future[CandidateSide]) -> None:
    if made.exception() is None:
        made.result().end()


class Starts:
    """Has the workers of the next few candidates started, where it pays: starts and ends take long. Life
    cycle: made once a judge; `ahead` around the wait for a turn and the turn itself."""

    def __init__(self, *, pay: bool) -> None:
        self.pay = pay
        self._room = asyncio.Semaphore(_CANDIDATES)

    @asynccontextmanager
    async def ahead(self, begin: Callable[[], None]) -> AsyncIterator[None]:
        """Calls `begin` as soon as it is among those whose workers are started, if it ever is."""
        waiting = asyncio.create_task(self._wait(begin)) if self.pay else None
        try:
            yield
        finally:
            if waiting is not None:
                waiting.cancel()

    async def _wait(self, begin: Callable[[], None]) -> None:
        async with self._room:
            begin()
            await asyncio.Event().wait()
