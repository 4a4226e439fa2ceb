"""Where the host is not what is timed, a candidate's workers are started before its turn."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from judge_bench import Bench, processes, settled
from judge_sources import AFFINE, HONEST, OWN, torch_only, with_kernel

from kernelwright.judge.ahead import WAITING, Ahead, Anteroom, places
from kernelwright.judge.candidate import CandidateSide
from kernelwright.judge.judge import Judge
from kernelwright.proposers.base import Candidate

GOOD = [Candidate(source=f"{HONEST}# ahead {number}\n", language="cpp") for number in range(3)]
WRONG = Candidate(source=torch_only("return x * 0"), language="cpp")
DIES_OF_BLANKS = with_kernel(
    "if not hasattr(self, 'seen') and not x.any():", "    import os; os._exit(3)", "self.seen = True", *OWN, "return y"
)


@pytest.fixture
def early(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """A judge whose candidates get ready before their turn."""
    judge = bench.judge(AFFINE)
    assert bench.known(AFFINE, HONEST).accepted
    monkeypatch.setattr(judge, "_anteroom", Anteroom(4))
    return judge


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each worker that a stage asked for, whether it was ready."""
    found: list[bool] = []
    take = Ahead.take

    def noting(ahead: Ahead, kind: str, make: Any) -> CandidateSide:
        found.append(True)

        def late() -> CandidateSide:
            found[-1] = False
            side: CandidateSide = make()
            return side

        return take(ahead, kind, late)

    monkeypatch.setattr(Ahead, "take", noting)
    return found


def test_verdicts_are_the_same_no_start_is_waited_for_and_nothing_stays_behind(
    bench: Bench, early: Judge, taken: list[bool]
) -> None:
    before = processes(early)

    async def together() -> list[Any]:
        return await asyncio.gather(*(early.evaluate(each, brief=True) for each in (*GOOD, WRONG)))

    *good, wrong = bench.run(together())

    assert all(verdict.accepted for verdict in good)
    assert all([stage.status for stage in verdict.stages] == ["passed"] * len(verdict.stages) for verdict in good)
    assert wrong.reason in ("wrong_values", "no_kernel")
    assert sum(taken) >= 3 * len(GOOD), "to run, to hold out, to time"
    bench.run(settled(early, before))


def test_one_that_does_not_survive_blank_inputs_is_judged_in_another_worker(
    bench: Bench, early: Judge, taken: list[bool]
) -> None:
    verdict = bench.run(early.evaluate(Candidate(source=DIES_OF_BLANKS, language="cpp"), brief=True))
    assert verdict.accepted, verdict.message
    assert len(taken) >= 3
    assert not any(taken)


def test_who_is_cancelled_while_it_gets_ready_leaves_nothing(
    bench: Bench, early: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, started = processes(early), threading.Event()
    start = Ahead.start

    def telling(ahead: Ahead, *given: Any) -> None:
        started.set()
        start(ahead, *given)

    monkeypatch.setattr(Ahead, "start", telling)

    async def leave() -> None:
        evaluation = asyncio.ensure_future(early.evaluate(GOOD[0], brief=True))
        while not started.is_set():
            await asyncio.sleep(0.01)
        evaluation.cancel()
        await asyncio.wait([evaluation])
        assert evaluation.cancelled()
        await settled(early, before)

    bench.run(leave())


def test_places_are_as_many_as_a_devices_memory_holds() -> None:
    assert [places(gigabytes << 30) for gigabytes in (4, 24, 80)] == [1, 3, WAITING]


def test_who_steps_aside_gives_its_place_to_another() -> None:
    anteroom, order = Anteroom(1), []

    async def one(name: str, *, leaves: bool, go_on: asyncio.Event) -> None:
        async with anteroom.ready(lambda: order.append(name), lambda: None) as leave:
            if leaves:
                leave()
            await go_on.wait()

    async def both() -> None:
        go_on = asyncio.Event()
        first = asyncio.ensure_future(one("first", leaves=True, go_on=go_on))
        second = asyncio.ensure_future(one("second", leaves=False, go_on=go_on))
        third = asyncio.ensure_future(one("third", leaves=False, go_on=go_on))
        while len(order) < 2:
            await asyncio.sleep(0.01)
        assert order == ["first", "second"]
        go_on.set()
        await asyncio.gather(first, second, third)

    asyncio.run(both())
    assert order == ["first", "second", "third"]
