"""What is timed, how often, and what timed outputs are checked against."""

from __future__ import annotations

import asyncio
import random
from textwrap import dedent
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from judge_bench import Bench
from judge_sources import AFFINE, HONEST, OWN, with_kernel

from kernelwright.judge import pairs
from kernelwright.judge.answer import Expected
from kernelwright.judge.judge import Judge
from kernelwright.judge.pools import Pool, Pools
from kernelwright.judge.rejection import Rejection
from kernelwright.judge.timing import Stopwatch
from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Candidate

TWO = AFFINE.replace('"name": "one row"', '"name": "wide", "role": "tune"')
CANDIDATE = Candidate(source=HONEST, language="cpp")
QUANTISED = dedent("""
    import torch
    from torch import nn

    class Model(nn.Module):
        def forward(self, x):
            return (x.sum(-1) * 1000).round().int()

    def get_inputs():
        return [torch.randn(256, 1000)]

    def get_init_inputs():
        return []
    """)
IN_DOUBLE = r"""
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r'''
#include <cmath>
void sums(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  for (long i = 0; i < x.size(0); ++i) {
    double sum = 0;
    for (long j = 0; j < x.size(1); ++j) sum += static_cast<const float*>(x.data_ptr())[i * x.size(1) + j];
    static_cast<int*>(y.data_ptr())[i] = static_cast<int>(std::nearbyint(sum * 1000));
  }
}
'''
kernels = tvm_ffi.cpp.load_inline("sums", cpp_sources=CPP, functions=["sums"], extra_cflags=["-O3"])

class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty(x.shape[0], dtype=torch.int32)
        kernels.sums(x, y)
        return y
"""
SLEEPS = AFFINE.replace("        return torch.relu", "        time.sleep(0.05)\n        return torch.relu").replace(
    "import torch\n", "import time\n\nimport torch\n", 1
)
NOW_AND_THEN = "import time\n" + with_kernel(
    *OWN, "self.calls = getattr(self, 'calls', 0) + 1", "time.sleep(0.0001 if self.calls % 2 else 0.2)", "return y"
)


@pytest.fixture(scope="module")
def measured(bench: Bench) -> Verdict:
    verdict = bench.evaluate(TWO, HONEST)
    assert verdict.accepted, verdict.message
    assert [timing.case for timing in verdict.timings] == ["default", "wide"]
    return verdict


def beside(bench: Bench, best: Verdict) -> Verdict:
    return bench.run(bench.judge(TWO).evaluate(CANDIDATE, best=best))


def known(verdict: Verdict, *speedups: float) -> Verdict:
    """The verdict with other speedups of its cases, to the percent, however busy the machine was as it was measured."""
    timings = [
        timing.model_copy(update={"speedup": speedup, "speedup_ci": (0.99 * speedup, 1.01 * speedup)})
        for timing, speedup in zip(verdict.timings, speedups, strict=True)
    ]
    return verdict.model_copy(update={"timings": tuple(timings)})


def test_a_case_is_measured_against_the_best_in_the_same_case(bench: Bench, measured: Verdict) -> None:
    best = known(measured, 0.001, 0.001).model_copy(update={"speedup": 1000.0})  # as if of a third case

    assert not beside(bench, best).stopped_early


def test_whoever_is_behind_in_one_case_is_still_measured_in_the_next(bench: Bench, measured: Verdict) -> None:
    verdict = beside(bench, known(measured, 1e6, 1e-6))

    assert verdict.stopped_early
    assert [timing.case for timing in verdict.timings] == ["default", "wide"]


def test_the_pools_of_several_cases_are_kept(bench: Bench, measured: Verdict) -> None:
    judge = bench.judge(TWO)
    one, other = (case for case in judge.info.cases if case.role == "tune")

    async def pools(judge: Judge) -> list[object]:
        return [await asyncio.to_thread(judge._stopwatch.pool, case) for case in (one, other, one)]

    first, second, again = bench.run(pools(judge))
    assert first is again
    assert second is not first


def test_other_inputs_are_drawn_once_a_candidate_may_have_told_what_they_are(bench: Bench, measured: Verdict) -> None:
    judge = bench.judge(TWO)
    pools = judge._stopwatch.pools
    cases = [case for case in judge.info.cases if case.role == "tune"]

    async def drawn() -> list[Pool]:
        return [await asyncio.to_thread(pools.pool, case) for case in cases]

    before = bench.run(drawn())
    seen = [pool.batches[1][0].data[0].tobytes() for pool in before]
    with pools.secret(cases[0]):
        pass
    assert all(one is other for one, other in zip(bench.run(drawn()), before, strict=True))
    with pytest.raises(Rejection), pools.secret(cases[0]):
        raise Rejection("crashed", "it says what it has seen")
    after = bench.run(drawn())
    assert seen[0] not in [inputs.data[0].tobytes() for batch in after[0].batches for inputs in batch]
    assert after[0].handover is not None
    assert after[1] is before[1]
    assert bench.evaluate(TWO, HONEST + "# once more\n").accepted


@pytest.mark.parametrize(("numbers", "enough"), [(1, 1), (20, 2), (4096, 768)])
def test_inputs_are_given_up_once_times_could_have_told_a_batchs_answers(numbers: int, enough: int) -> None:
    answer = Expected(shape=(numbers,), dtype="float32", exact=np.arange(numbers, dtype=np.float32))
    pool = Pool(case=None, batches=[[]], expected=[(answer,)])  # type: ignore[arg-type] - of no case
    said = 0
    while not pool.told:
        pool.note_verdict()
        said += 1
    assert said == enough


def test_another_choice_between_near_ties_is_right_in_timed_calls_too(bench: Bench) -> None:
    verdict = bench.evaluate(QUANTISED, IN_DOUBLE)

    assert verdict.accepted, verdict.message
    assert verdict.proof is not None
    assert verdict.proof.dtypes == ("float32", "int32")


def test_a_slow_kernel_whose_times_say_nothing_is_measured_for_longer_and_then_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "LONGEST", 4.0)
    monkeypatch.setattr(pairs, "WAITED", 1e9)  # the machine is not to blame, however busy it is

    verdict = bench.evaluate(SLEEPS, NOW_AND_THEN)

    assert verdict.reason == "unstable_timing", verdict.message


def test_pairs_that_say_nothing_are_not_enough_before_their_time() -> None:
    found = pairs.Pairs(seconds=0.0)
    for number in range(pairs.MAX_PAIRS - 1):
        found.add(1.0 if number % 2 else 100.0, 1.0)
    assert found.unstable
    assert not found.enough
    found.start -= pairs.LONGEST
    assert found.enough


def test_nobody_is_blamed_where_the_reference_had_to_wait_for_cores() -> None:
    found = pairs.Pairs(seconds=0.0, took=1.0)
    for number in range(20):
        found.add(1.0 if number % 2 else 100.0, 1.0)
    found.waited = 0.1
    assert found.unstable
    found.waited = 0.3
    assert not found.unstable


def test_a_speedup_that_says_nothing_is_measured_again_another_day(measured: Verdict) -> None:
    assert known(measured, 2.0, 3.0).lasting
    vague = measured.timings[0].model_copy(update={"speedup": 1.0, "speedup_ci": (0.1, 3.0)})
    assert not measured.model_copy(update={"timings": (vague,)}).lasting


def test_pairs_that_say_something_are_enough_when_the_time_is_over() -> None:
    found = pairs.Pairs(seconds=0.0)
    for number in range(pairs.MIN_PAIRS):
        found.add(1.0 + number, 1.0)
    assert not found.unstable
    assert found.enough


@pytest.mark.parametrize(("width", "least"), [(pairs.NARROW, 95), (pairs.WIDE, 60)])
def test_times_that_are_a_little_noisy_are_told_from_those_of_more_work(width: float, least: int) -> None:
    def measured(work: float, noise: random.Random) -> pairs.Pairs:
        found = pairs.Pairs(seconds=1e9, width=width)
        while not found.enough:
            found.add(work * noise.gauss(1.0, 0.012), 1.0)
        assert len(found) < pairs.MAX_PAIRS
        return found

    both = ((measured(1.0, noise), measured(1.05, noise)) for noise in map(random.Random, range(100)))
    assert sum(more.speedup.high < once.speedup.low for once, more in both) >= least


def test_a_candidate_is_not_refused_for_the_times_of_the_reference() -> None:
    steady, restless = pairs.Pairs(seconds=0.0), pairs.Pairs(seconds=0.0)
    for number in range(20):
        spread = 1.0 if number % 2 else 100.0
        steady.add(1.0, spread)
        restless.add(spread, 1.0)

    assert steady.speedup.vague
    assert not steady.enough  # it is measured for longer all the same
    assert not steady.unstable
    assert restless.unstable


@pytest.mark.parametrize(
    ("own", "calls"),
    [([], 32), ([1.0], 32), ([1.0, 0.05], 32), ([0.05, 1.0], 32), ([0.4, 0.4], 4), ([0.4, 9.0], 4), ([0.01, 0.01], 32)],
)
def test_one_disturbed_pair_does_not_shorten_a_candidates_batches(own: list[float], calls: int) -> None:
    measured, pool = pairs.Pairs(1.0), SimpleNamespace(batches=[[None] * 32])
    for seconds in own:
        measured.add(seconds, 0.05)
    stopwatch: Any = Stopwatch(cast(Pools, SimpleNamespace(reference=SimpleNamespace(changed=()))))
    assert stopwatch._calls(pool, measured) == calls
