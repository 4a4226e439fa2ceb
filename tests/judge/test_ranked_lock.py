"""Who has the device next: whatever comes, waits, leaves or is cancelled."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from itertools import takewhile

from hypothesis import given, settings
from hypothesis import strategies as st

from kernelwright.judge.ranked_lock import PATIENCE, RankedLock


@dataclass(frozen=True)
class Guest:
    """Comes at some time, holds the device for so long in each part, and is cancelled at some time, if ever. Times are
    turns of the event loop."""

    rank: float | None = None
    comes: int = 0
    first: int = 1
    second: int = 1
    cancelled: int | None = None
    fails: bool = False
    """In its first part, as a candidate that is not right."""


@dataclass
class House:
    """Lets guests in, and notes what happens: when a guest came for a part, got it and left it."""

    lock: RankedLock = field(default_factory=RankedLock)
    notes: list[tuple[str, int, str]] = field(default_factory=list)

    async def _part(self, number: int, part: str, length: int) -> None:
        self.notes.append(("got", number, part))
        try:
            for _ in range(length):
                await asyncio.sleep(0)
        finally:
            self.notes.append(("left", number, part))

    async def _visit(self, number: int, guest: Guest) -> None:
        for _ in range(guest.comes):
            await asyncio.sleep(0)
        self.notes.append(("came", number, "first"))
        async with self.lock.turn(guest.rank) as step_aside:
            await self._part(number, "first", guest.first)
            if guest.fails:
                return
            if guest.rank is not None:  # the others need not wait
                self.notes.append(("came", number, "second"))
            await step_aside()
            await self._part(number, "second", guest.second)

    async def _pass_through(self) -> None:
        async with self.lock.turn(0.0) as step_aside:
            await step_aside()

    async def _cancel(self, task: asyncio.Task[None], after: int) -> None:
        for _ in range(after):
            await asyncio.sleep(0)
        task.cancel()

    async def open(self, guests: list[Guest]) -> None:
        """Returns when all are gone; raises where some never get their turn, or the device is not free afterwards."""
        tasks = [asyncio.ensure_future(self._visit(number, guest)) for number, guest in enumerate(guests)]
        ends = [
            self._cancel(task, guest.cancelled)
            for task, guest in zip(tasks, guests, strict=True)
            if guest.cancelled is not None
        ]
        await asyncio.wait_for(asyncio.gather(*ends, *tasks, return_exceptions=True), 60)
        await asyncio.wait_for(self._pass_through(), 60)
        assert not self.lock._line

    def parts(self, part: str) -> list[int]:
        """Who had this part, in order."""
        return [number for what, number, which in self.notes if (what, which) == ("got", part)]


RANKS = st.none() | st.floats(0, 4).map(lambda rank: round(rank, 1))
GUESTS = st.builds(
    Guest,
    rank=RANKS,
    comes=st.integers(0, 60),
    first=st.integers(0, 3),
    second=st.integers(0, 3),
    cancelled=st.none() | st.integers(0, 150),
    fails=st.booleans(),
)


CROWD = st.lists(st.builds(replace, GUESTS, comes=st.integers(0, 20)), min_size=2 * PATIENCE, max_size=60)


def visited(guests: list[Guest]) -> House:
    house = House()
    asyncio.run(house.open(guests))
    return house


@given(st.lists(GUESTS, max_size=40))
@settings(deadline=None)
def test_one_at_a_time_and_everybody_who_stays_is_served(guests: list[Guest]) -> None:
    house = visited(guests)

    inside = 0
    for what, *_ in house.notes:
        inside += {"came": 0, "got": 1, "left": -1}[what]
        assert inside in (0, 1)
    assert inside == 0
    stay = {number for number, guest in enumerate(guests) if guest.cancelled is None}
    finish = {number for number in stay if not guests[number].fails}
    assert stay <= set(house.parts("first"))
    assert finish <= set(house.parts("second"))


@given(st.lists(GUESTS, max_size=40) | CROWD)
@settings(deadline=None)
def test_nobody_lets_more_than_so_many_past(guests: list[Guest]) -> None:
    notes = visited(guests).notes

    for place, (what, number, part) in enumerate(notes):
        served = ("got", number, part)
        if what != "came" or served not in notes[place:]:
            continue
        between = notes[place : notes.index(served, place)]
        later = {(who, which) for what, who, which in between if what == "came"} - {(number, part)}
        assert sum(("got", *one) in between for one in later) <= PATIENCE


@given(st.lists(RANKS, min_size=1, max_size=PATIENCE // 2))  # each of the others may be let past twice
@settings(deadline=None)
def test_of_those_who_come_at_once_the_highest_rank_has_its_second_part_first(ranks: list[float | None]) -> None:
    house = visited([Guest(rank) for rank in ranks])

    early = list(takewhile(lambda number: ranks[number] is None, range(len(ranks))))
    ranked = sorted((-rank, number) for number, rank in enumerate(ranks) if rank is not None)
    others = [number for number, rank in enumerate(ranks) if rank is None and number not in early]
    assert house.parts("second") == [*early, *(number for _, number in ranked), *others]


def test_one_without_a_rank_has_both_parts_at_once() -> None:
    house = visited([Guest(), Guest(1.0), Guest()])

    got = [(number, part) for what, number, part in house.notes if what == "got"]
    assert got[:2] == [(0, "first"), (0, "second")]


def test_a_stream_of_better_ones_starves_nobody() -> None:
    guests = [Guest(0.0), *(Guest(1.0 + number, comes=number) for number in range(5 * PATIENCE))]

    assert visited(guests).parts("second").index(0) <= PATIENCE


def test_a_stream_of_those_who_fail_starves_nobody() -> None:
    guests = [Guest(0.0), *(Guest(1.0, comes=2 * number, fails=True) for number in range(5 * PATIENCE))]
    house = visited(guests)

    assert house.notes.index(("got", 0, "second")) < house.notes.index(("came", 3 * PATIENCE, "first"))


def test_who_is_cancelled_just_as_its_turn_comes_gives_it_to_the_next() -> None:
    async def scene() -> None:
        lock = RankedLock()
        async with lock.turn():
            first, second = (asyncio.ensure_future(_take(lock)) for _ in range(2))
            await asyncio.sleep(0)
        first.cancel()  # it was called, and does not know yet
        assert await second
        assert first.cancelled()

    asyncio.run(scene())


async def _take(lock: RankedLock) -> bool:
    async with lock.turn():
        return True
