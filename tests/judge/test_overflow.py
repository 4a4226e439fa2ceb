"""A reference that overflows somewhere: that element is compared by itself, and all others as ever."""

from __future__ import annotations

from textwrap import dedent

import numpy as np
import pytest
from judge_bench import Bench

from kernelwright.judge import numerics

TASK = dedent("""
    import torch
    from torch import nn

    class Model(nn.Module):
        def forward(self, x):
            return x.exp(), x.exp() / x.exp().sum(-1, keepdim=True)

    def get_inputs():
        x = torch.rand(64, 100)
        x[3, 5] = 100.0  # e^100 is infinite in float32 alone
        return [x]

    def get_init_inputs():
        return []
    """)
KERNEL = r"""
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r'''
#include <cmath>
void exponential(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* X = static_cast<const float*>(x.data_ptr());
  for (long i = 0; i < x.numel(); ++i) static_cast<float*>(y.data_ptr())[i] = std::exp(X[i]);
}
'''
kernels = tvm_ffi.cpp.load_inline("exponential", cpp_sources=CPP, functions=["exponential"], extra_cflags=["-O2"])

class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        kernels.exponential(x, y)
        return y, y / y.sum(-1, keepdim=True)
"""


def candidate(*body: str, shares: str = "x.exp() / x.exp().sum(-1, keepdim=True)") -> str:
    """One whose first output is `y`."""
    lines = "".join(f"        {line}\n" for line in (*body, f"return y, {shares}"))
    return f"import torch\nfrom torch import nn\n\nclass ModelNew(nn.Module):\n    def forward(self, x):\n{lines}"


def test_a_kernel_that_overflows_as_the_reference_does_is_accepted(bench: Bench) -> None:
    verdict = bench.evaluate(TASK, KERNEL)

    assert verdict.accepted, verdict.message
    assert verdict.error is not None
    assert verdict.error.allowed_max < 1e-5


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (["y = x.exp()"], "no_kernel"),  # right in every stage before the audit
        (["y = torch.zeros_like(x)"], "wrong_values"),
        (["y = x.exp()", "y[3, 5] = 7.0"], "wrong_values"),
        (["y = x.exp()", "y[3, 5] = -y[3, 5]"], "wrong_values"),
        (["y = x.exp()", "y[3, 6] = y[3, 5]"], "non_finite"),
    ],
)
def test_the_element_that_overflows_excuses_no_other_value(bench: Bench, body: list[str], reason: str) -> None:
    assert bench.evaluate(TASK, candidate(*body)).reason == reason


@pytest.mark.parametrize(
    ("shares", "reason"),
    [
        ("torch.softmax(x, -1)", "no_kernel"),  # what float64 gives
        ("torch.softmax(x, -1) * 1.001", "wrong_values"),
    ],
)
def test_not_overflowing_where_the_reference_does_is_right(bench: Bench, shares: str, reason: str) -> None:
    verdict = bench.evaluate(TASK, candidate("y = x.exp()", shares=shares))

    assert verdict.reason == reason, verdict.message


def test_what_is_compared_with_where_the_reference_is_not_finite() -> None:
    own = np.array([1.0, np.inf, np.nan, np.inf, 2.0])
    exact = np.array([1.0, 1e60, 0.5, np.inf, 2.0])
    want, other = numerics.settle(own, "float64", exact)
    magnitude = numerics.scale(want, "float32")

    def worst(*values: float) -> float:
        got = np.array(values, np.float32)
        return numerics.errors(lambda a, b: got[a:b], "float32", want, magnitude, alternative=other).max

    assert worst(1.0, np.inf, np.nan, np.inf, 2.0) == 0
    assert worst(1.0, np.inf, 0.5, np.inf, 2.0) == 0
    assert worst(1.0, np.inf, 0.6, np.inf, 2.0) > 0.01
    assert worst(1.0, np.inf, np.inf, np.inf, 2.0) == np.inf
    assert worst(1.0, 3.0, np.nan, np.inf, 2.0) > 0.9
    assert numerics.settle(exact, "float64", exact)[1] is None
