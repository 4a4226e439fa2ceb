"""Whole numbers at a tie: an honest kernel may settle it otherwise than the reference and float64 do."""

from __future__ import annotations

from textwrap import dedent

import pytest
from judge_bench import Bench

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
