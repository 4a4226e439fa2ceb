"""Of several correct candidates, the one that promises most is timed first."""

from __future__ import annotations

import asyncio

from judge_bench import Bench, processes, settled
from judge_sources import AFFINE, HONEST, torch_only

from kernelwright.judge.judge import Judge
from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Candidate

GOOD = {rank: Candidate(source=f"{HONEST}# {rank}\n", language="cpp") for rank in (0.5, 2.0, 1.0)}
WRONG = Candidate(source=torch_only("return x * 0"), language="cpp")


async def in_line(judge: Judge, count: int) -> None:
    """Returns when so many candidates wait for the device; the judge's own preparations may wait there as well."""
    while sum(place.rank is not None for place in judge._device._line) < count:
        await asyncio.sleep(0.01)


def test_of_several_correct_ones_the_highest_rank_is_timed_first(bench: Bench) -> None:
    judge, verdicts = bench.judge(AFFINE), []

    async def evaluate(candidate: Candidate, rank: float | None) -> None:
        verdicts.append(await judge.evaluate(candidate, brief=True, rank=rank))

    async def together() -> None:
        async with judge._device.turn():
            waiting = [evaluate(candidate, rank) for rank, candidate in GOOD.items()]
            evaluations = [asyncio.ensure_future(each) for each in (*waiting, evaluate(WRONG, 3.0))]
            await in_line(judge, len(evaluations))
        await asyncio.gather(*evaluations)

    bench.run(together())

    assert [verdict.candidate for verdict in verdicts] == [WRONG.id, *(GOOD[rank].id for rank in (2.0, 1.0, 0.5))]
    assert [verdict.accepted for verdict in verdicts] == [False, True, True, True]
    for verdict in verdicts[1:]:
        assert [stage.status for stage in verdict.stages] == ["passed"] * len(verdict.stages)


def test_who_waits_to_be_timed_has_no_process_and_may_leave(bench: Bench) -> None:
    judge = bench.judge(AFFINE)
    assert bench.known(AFFINE, HONEST).accepted
    before = processes(judge)

    async def leave() -> Verdict:
        async with judge._device.turn(9.0) as step_aside:
            leaves, stays = (asyncio.ensure_future(judge.evaluate(GOOD[rank], rank=rank)) for rank in (1.0, 0.5))
            await in_line(judge, 2)
            await step_aside()  # until both are checked
            await settled(judge, before)
            leaves.cancel()
            await asyncio.wait([leaves])
            assert leaves.cancelled()
        return await stays

    assert bench.run(leave()).accepted
    bench.run(settled(judge, before))
    assert bench.evaluate(AFFINE, HONEST).accepted
