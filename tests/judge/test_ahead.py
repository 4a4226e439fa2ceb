"""Workers that are started before a candidate's turn, and what is held up while something is timed."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from judge_bench import Bench, processes, settled
from judge_sources import AFFINE, HONEST, torch_only

from kernelwright.judge.ahead import Ahead, Starts
from kernelwright.judge.background import Background
from kernelwright.judge.rejection import Rejection
from kernelwright.proposers.base import Candidate

GOOD = [Candidate(source=f"{HONEST}# ahead {number}\n", language="cpp") for number in range(5)]
WRONG = Candidate(source=torch_only("return x * 0", before="# ahead"), language="cpp")


class Side:
    """Stands for a candidate's worker."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def end(self) -> None:
        self.ended.set()


def test_verdicts_are_the_same_and_nothing_stays_behind(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    judge, taken = bench.judge(AFFINE), []
    assert bench.known(AFFINE, HONEST).accepted
    before = processes(judge)
    monkeypatch.setattr(judge, "_starts", Starts(pay=True))
    take = Ahead.take
    monkeypatch.setattr(Ahead, "take", lambda ahead: taken.append(take(ahead)) or taken[-1])

    async def together() -> list[Any]:
        return await asyncio.gather(*(judge.evaluate(each, brief=True) for each in (*GOOD, WRONG)))

    *good, wrong = bench.run(together())

    assert all(verdict.accepted for verdict in good)
    assert wrong.reason in ("wrong_values", "no_kernel")
    started = [side for side in taken if side is not None]
    assert len(started) >= 3, "the first one's wait was long enough for none"
    assert all(side.worker.closed for side in started)
    bench.run(settled(judge, before))


def test_who_never_takes_its_workers_has_them_ended() -> None:
    sides, go = [Side(), Side()], threading.Event()
    made = iter(sides)

    def make() -> Any:
        assert go.wait(10)
        return next(made)

    ahead = Ahead()
    ahead.begin(make, 2)
    ahead.end()
    ahead.begin(make, 1)
    assert ahead.take() is None
    go.set()
    assert all(side.ended.wait(10) for side in sides)


def test_a_start_that_fails_is_the_takers_failure() -> None:
    def fails() -> Any:
        raise Rejection("timed_out", "it did not load")

    ahead = Ahead()
    ahead.begin(fails, 2)
    with pytest.raises(Rejection, match="did not load"):
        ahead.take()
    ahead.end()


def test_nothing_starts_while_something_is_timed() -> None:
    background, forked, timed = Background(), threading.Event(), threading.Event()
    slow = threading.Event()

    def fork() -> Any:
        forked.set()
        slow.wait(10)
        raise OSError("no process in this test")

    def start() -> None:
        with pytest.raises(OSError, match="no process"):
            background.start(fork)

    def time_something() -> None:
        with background.held_up():
            timed.set()

    starter, timer = threading.Thread(target=start), threading.Thread(target=time_something)
    with background.held_up():
        starter.start()
        assert not forked.wait(0.2)
    assert forked.wait(10)
    timer.start()
    assert not timed.wait(0.2), "a process is being started"
    slow.set()
    assert timed.wait(10)
    starter.join()
    timer.join()
