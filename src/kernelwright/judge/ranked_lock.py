"""A lock that those who have shown that they are worth it get in the order of what they promise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

PATIENCE = 16
"""How many who came later may be let past one who waits: about as many as there are samples worth drawing before
one of them is chosen (best of n gains little beyond, arXiv 2602.07670)."""


@dataclass(eq=False)
class _Place:
    """In the line. `aside`: it has had the first part of its turn and waits for the second."""

    rank: float | None
    aside: bool
    called: asyncio.Future[None]
    passed: int = 0
    """How many that came later went first."""


class RankedLock:
    """Held by one at a time. The turn of one that has a rank is in two parts: the first shows whether it is worth the
    second, which the one with the highest rank has first.

    Life cycle: made once; `turn` around all that must not happen at once. Who is cancelled while waiting leaves the
    line.

    Next is, of those who wait,
    1. who was let down `PATIENCE` times already, the longest waiting one: so nobody waits for more turns than of those
       who were there before it and `PATIENCE` others;
    2. where somebody has stepped aside, whoever may do so too, so that there is a choice; then the highest rank of
       those aside;
    3. whoever came first. One without a rank is in no choice, so it waits for none: its turn is in one part.
    """

    def __init__(self) -> None:
        self._line: list[_Place] = []
        """In order of arrival."""
        self._taken = False

    @asynccontextmanager
    async def turn(self, rank: float | None = None) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Waits for the lock and holds it in the block. What it gives is to be called between the two parts: it lets
        whoever goes before have the lock, and waits to have it back; at once where nobody does."""
        await self._wait(rank, aside=False)
        holds = True

        async def step_aside() -> None:
            nonlocal holds
            if rank is not None:
                self._taken = holds = False
                await self._wait(rank, aside=True)
                holds = True

        try:
            yield step_aside
        finally:
            if holds:
                self._give_up()

    async def _wait(self, rank: float | None, *, aside: bool) -> None:
        place = _Place(rank, aside, asyncio.get_running_loop().create_future())
        self._line.append(place)
        self._call()
        try:
            await place.called
        except asyncio.CancelledError:
            if place in self._line:
                self._line.remove(place)
            else:  # it was its turn already
                self._give_up()
            raise

    def _give_up(self) -> None:
        self._taken = False
        self._call()

    def _call(self) -> None:
        """Calls the next one, if the lock is free."""
        waiting = [place for place in self._line if not place.called.done()]  # the others are about to leave
        if self._taken or not waiting:
            return
        chosen = _next(waiting)
        for place in waiting[: waiting.index(chosen)]:
            place.passed += 1
        self._line.remove(chosen)
        self._taken = True
        chosen.called.set_result(None)


def _next(waiting: list[_Place]) -> _Place:
    """See `RankedLock`; of at least one, in order of arrival."""
    for place in waiting:
        if place.passed >= PATIENCE:
            return place
    aside = [place for place in waiting if place.aside]
    if not aside:
        return waiting[0]
    may_join = (place for place in waiting if place.rank is not None and not place.aside)
    return next(may_join, None) or max(aside, key=lambda place: place.rank or 0.0)
