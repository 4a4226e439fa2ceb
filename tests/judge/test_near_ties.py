"""Whole numbers at a tie: an honest kernel may settle it otherwise than the reference and float64 do."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

import pytest
import torch
from judge_bench import Bench

from kernelwright.tasks.host_rounding import NearTies

TASK = dedent("""
    import torch
    from torch import nn

    class Model(nn.Module):
        def forward(self, x):
            return (x / 7).round().to(torch.int8)

    def get_inputs():
        return [torch.randint(-200, 200, (64, 1000)) * 3.5]

    def get_init_inputs():
        return []
    """)
KERNEL = r"""
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r'''
#include <cmath>
void sevenths(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* from = static_cast<const float*>(x.data_ptr());
  for (long i = 0; i < x.size(0) * x.size(1); ++i)
    static_cast<signed char*>(y.data_ptr())[i] = static_cast<signed char>(FUNCTION(from[i] * (1.0f / 7)));
}
'''
kernels = tvm_ffi.cpp.load_inline("sevenths", cpp_sources=CPP, functions=["sevenths"], extra_cflags=["-O3"])

class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty(x.shape, dtype=torch.int8)
        kernels.sevenths(x, y)
        return y
"""


@pytest.mark.slow
def test_a_reciprocal_instead_of_a_division_is_right(bench: Bench) -> None:
    verdict = bench.evaluate(TASK, KERNEL.replace("FUNCTION", "std::nearbyint"), brief=True)

    assert verdict.accepted, verdict.message


@pytest.mark.slow
@pytest.mark.parametrize("function", ["std::floor", "1 + std::nearbyint"])
def test_another_rounding_is_wrong(bench: Bench, function: str) -> None:
    verdict = bench.evaluate(TASK, KERNEL.replace("FUNCTION", function))

    assert verdict.reason == "wrong_values", verdict.message


@pytest.mark.slow
def test_halves_that_no_rounding_has_made_go_where_the_reference_has_them_go(bench: Bench) -> None:
    halves = TASK.replace("(x / 7)", "x").replace("* 3.5", "* 0.5")

    verdict = bench.evaluate(halves, KERNEL.replace("1.0f / 7", "1.0f").replace("FUNCTION", "std::round"))

    assert verdict.reason == "wrong_values", verdict.message


PLACES = dedent("""
    import torch
    from torch import nn

    class Model(nn.Module):
        def forward(self, x):
            return (x * x).argmax(1)

    def get_inputs():
        x = torch.randn(64, 1000)
        x[:, 0] = x[:, 500] = 9.0
        x[:, 700] = THIRD
        return [x + torch.rand(64, 1) * 1e-3]

    def get_init_inputs():
        return []
    """)
"""Two equal numbers, which no rounding tells apart, and a third one."""
FINDS = r"""
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r'''
void find(tvm::ffi::TensorView x, tvm::ffi::TensorView places) {
  for (long i = 0; i < x.size(0); ++i) {
    const float* row = static_cast<const float*>(x.data_ptr()) + i * x.size(1);
    long best = FIRST;
    for (long j = 0; j < x.size(1); ++j)
      if (row[j] * row[j] > row[best] * row[best] * MARGIN) best = j;
    static_cast<long*>(places.data_ptr())[i] = best;
  }
}
'''
kernels = tvm_ffi.cpp.load_inline("find", cpp_sources=CPP, functions=["find"], extra_cflags=["-O3"])

class ModelNew(nn.Module):
    def forward(self, x):
        places = torch.empty(x.shape[0], dtype=torch.int64)
        kernels.find(x, places)
        return places
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("third", "first", "margin", "reason"),
    [
        pytest.param("9.0 + 2.0**-20", "0", "1.0000003f", None, id="next to the largest"),
        pytest.param("9.001", "0", "1.001f", "wrong_values", id="nearly the largest"),
        pytest.param("0.0", "500", "1.0f", "wrong_values", id="the second of two equal ones"),
    ],
)
def test_a_place_is_right_that_roundings_may_decide_and_no_other(
    bench: Bench, third: str, first: str, margin: str, reason: str | None
) -> None:
    kernel = FINDS.replace("FIRST", first).replace("MARGIN", margin)

    verdict = bench.evaluate(PLACES.replace("THIRD", third), kernel, brief=reason is None)

    assert verdict.reason == reason, verdict.message


@pytest.mark.parametrize(
    ("find", "best", "second", "third"),
    [
        pytest.param(lambda x: x.argmax(1), 2, 4, 1, id="argmax"),
        pytest.param(lambda x: (-x).argmin(-1, keepdim=True), 2, 4, 1, id="argmin"),
        pytest.param(lambda x: x.reshape(-1).argmax(), 2, 4, 1, id="of all"),
        pytest.param(lambda x: x.max(1).indices, 2, 4, 1, id="max"),
        pytest.param(lambda x: torch.min(-x, dim=1, keepdim=True).indices, 2, 4, 1, id="min"),
        pytest.param(lambda x: (x * float("nan")).argmax(1), 0, 0, 0, id="no number"),
        pytest.param(lambda x: torch.where(x < 0, float("nan"), x).argmin(1), 0, 0, 0, id="some are no numbers"),
        pytest.param(lambda x: torch.where(x < 0, float("nan"), x).min(1).indices, 0, 0, 0, id="min beside NaN"),
        pytest.param(lambda x: torch.where(x > 0, float("inf"), x).argmax(1), 1, 1, 1, id="infinities"),
        pytest.param(lambda x: x.sign().argmax(1), 1, 1, 1, id="equal ones"),
        pytest.param(lambda x: (x * torch.arange(5)).argmax(1), 4, 4, 4, id="far apart"),
    ],
)
def test_one_run_finds_the_second_and_one_the_third(
    find: Callable[[torch.Tensor], torch.Tensor], best: int, second: int, third: int
) -> None:
    x = torch.tensor([[-1.0, 1.0, 1 + 3e-7, -1.0, 1 + 2e-7]], dtype=torch.float64)
    found = []
    for by in (0.0, 1e-6, -1e-6):
        with NearTies(by):
            found.append(int(find(x)))

    assert found == [best, second, third]
