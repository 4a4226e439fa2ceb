"""A reference that updates its arguments: what it leaves in them is part of the answer, in every call."""

from __future__ import annotations

from textwrap import dedent

import pytest
from judge_bench import Bench

STEP = dedent("""
    import torch
    from torch import nn

    class Model(nn.Module):
        def forward(self, p, count, g):
            p.sub_(g)
            count.add_(1)
            return g.mean()

    def get_inputs():
        return [torch.randn(64, 100).t(), torch.zeros(3, dtype=torch.int64), torch.randn(100, 64)]

    def get_init_inputs():
        return []
    """)
KERNEL = r"""
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r'''
void step(tvm::ffi::TensorView p, tvm::ffi::TensorView g) {
  float* P = static_cast<float*>(p.data_ptr());
  const float* G = static_cast<const float*>(g.data_ptr());
  for (long i = 0; i < p.size(0); ++i)
    for (long j = 0; j < p.size(1); ++j) P[i * p.stride(0) + j * p.stride(1)] -= G[i * g.size(1) + j];
}
'''
kernels = tvm_ffi.cpp.load_inline("step", cpp_sources=CPP, functions=["step"], extra_cflags=["-O2"])
"""
FORWARD = """
class ModelNew(nn.Module):
    calls = 0

    def forward(self, p, count, g):
        ModelNew.calls += 1
        {update}
        {counting}
        return g.mean()
"""


def candidate(update: str = "kernels.step(p, g)", counting: str = "count.add_(1)") -> str:
    return KERNEL + FORWARD.format(update=update, counting=counting)


def test_a_kernel_whose_only_work_is_the_update_is_accepted(bench: Bench) -> None:
    verdict = bench.evaluate(STEP, candidate())

    assert verdict.accepted, verdict.message


@pytest.mark.parametrize(
    ("source", "argument"),
    [
        (candidate(update="pass"), 0),
        (candidate(update="kernels.step(p, g); p[0, 0] += 0.01"), 0),
        (candidate(counting="pass"), 1),
    ],
)
def test_an_update_that_is_left_out_or_wrong_is_a_wrong_value(bench: Bench, source: str, argument: int) -> None:
    verdict = bench.evaluate(STEP, source)

    assert verdict.reason == "wrong_values", verdict.message
    assert f"argument {argument}, which forward updates in place" in verdict.message


def test_an_update_that_is_left_out_in_later_calls_is_found(bench: Bench) -> None:
    verdict = bench.evaluate(STEP, candidate(update="if ModelNew.calls < 40: kernels.step(p, g)"))

    assert not verdict.accepted
    assert "argument 0, which forward updates in place" in verdict.message
