"""The final comparison goes on without whoever fails, and ends when it must."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from judge_bench import Bench
from judge_sources import AFFINE, HONEST, torch_only

from kernelwright.judge import race
from kernelwright.proposers.base import Candidate

GOOD = Candidate(source=HONEST, language="cpp")
WRONG = Candidate(source=torch_only("return x * 0"), language="cpp")
ENDS = Candidate(source=torch_only("import os", "os._exit(0)"), language="cpp")
"""Accepted once, let us say."""
FRESH = AFFINE + "# compiled by nobody yet\n"


def test_a_finalist_that_fails_takes_no_other_with_it(bench: Bench) -> None:
    assert bench.known(AFFINE, HONEST).accepted

    found = bench.run(bench.judge(AFFINE).compare([WRONG, GOOD, ENDS]))

    assert [row.name for row in found.rows] == ["eager", "torch.compile", GOOD.id]
    assert found.compile_problem == ""


def test_a_finalist_that_is_not_built_is_built_first(bench: Bench) -> None:
    moved = Candidate(source=f"{HONEST}\n# judged with a compiler that is gone\n", language="cpp")

    found = bench.run(bench.judge(AFFINE).compare([moved]))

    assert [row.name for row in found.rows] == ["eager", "torch.compile", moved.id]


def test_without_any_finalist_left_there_are_still_eager_and_torch_compile(bench: Bench) -> None:
    found = bench.run(bench.judge(AFFINE).compare([WRONG, ENDS]))

    assert [row.name for row in found.rows] == ["eager", "torch.compile"]


def test_torch_compile_is_neither_waited_for_beyond_the_limit_nor_needed(bench: Bench) -> None:
    judge = bench.judge(FRESH)
    assert bench.evaluate(FRESH, HONEST).accepted

    found = bench.run(judge.compare([GOOD], limit=0.2))

    assert [row.name for row in found.rows] == ["eager", GOOD.id]
    assert found.compile_problem == "not ready within the budget"

    compiled = bench.run(judge._compile())
    assert compiled.worker is not None
    compiled.worker.kill()

    found = bench.run(judge.compare([GOOD]))

    assert [row.name for row in found.rows] == ["eager", GOOD.id]
    assert found.compile_problem.startswith("torch.compile failed")


def test_there_is_no_graph_of_a_task_that_takes_too_long_to_export(bench: Bench) -> None:
    judge = bench.judge(AFFINE)

    assert bench.run(judge.graph("default", limit=0.001)) is None
    assert bench.run(judge.graph("default")) is not None


def test_a_comparison_that_nobody_waits_for_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = bench.judge(AFFINE)
    monkeypatch.setattr(race, "SECONDS", 1e6)
    monkeypatch.setattr(race, "MAX_PAIRS", 1 << 30)
    running = asyncio.Event()
    turn: Callable[..., dict[str, float]] = race.Race._turn

    async def interrupted() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(race.Race, "_turn", lambda *args: (loop.call_soon_threadsafe(running.set), turn(*args))[1])
        comparing = asyncio.create_task(judge.compare([GOOD]))
        await running.wait()
        comparing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await comparing

    bench.run(interrupted())
    monkeypatch.undo()
    assert bench.evaluate(AFFINE, HONEST).accepted
