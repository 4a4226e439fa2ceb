"""With its kernels switched off a candidate must be wrong: what else may be right then, and what may be wrong."""

from __future__ import annotations

import importlib
from textwrap import dedent
from types import SimpleNamespace

import numpy as np
from judge_bench import Bench

from kernelwright.judge.answer import Expected
from kernelwright.judge.numerics import Bound

audit = importlib.import_module("kernelwright.judge.stages.audit")  # its folder has a function of that name

HEAD = """
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r'''
void sums(tvm::ffi::TensorView x, tvm::ffi::TensorView out) {
  const float* X = static_cast<const float*>(x.data_ptr());
  double* Y = static_cast<double*>(out.data_ptr());
  const long rows = x.size(0), n = x.size(1);
  for (long r = 0; r < rows; ++r) {
    double sum = 0;
    for (long i = 0; i < n; ++i) sum += X[r * n + i];
    Y[r] = sum;
  }
}
void nothing(tvm::ffi::TensorView x) {}
'''
kernels = tvm_ffi.cpp.load_inline("sums", cpp_sources=CPP, functions=["sums", "nothing"], extra_cflags=["-O3"])


class ModelNew(nn.Module):
"""


def task(forward: str, inputs: str, before: str = "pass") -> str:
    return dedent(f"""
        import torch
        from torch import nn

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                {before}

            def forward(self, x):
                {forward}

        def get_inputs():
            return [{inputs}]
        """)


def candidate(*forward: str, before: str = "pass") -> str:
    lines = ["    def __init__(self):", "        super().__init__()", f"        {before}", "    def forward(self, x):"]
    return HEAD + "\n".join((*lines, *(f"        {line}" for line in forward))) + "\n"


def expecting(value: float) -> Expected:
    exact, allowed = np.array([value]), Bound(0.004, 0.004, 0.0, 0.0)
    return Expected((1,), "float16", exact, magnitude=np.abs(exact), bound=allowed)


MEAN = task("return torch.tanh(x).sum(1), x.mean().half()", "torch.rand(500, 2000)")
BY_ROWS = (
    "sums = self.kept.setdefault(x.shape, torch.empty(x.shape[0], dtype=torch.float64))",
    "kernels.sums(x, sums)",
    "return torch.tanh(x).sum(1), (sums.sum() / x.numel()).half()",
)


def test_an_output_that_hardly_changes_is_right_by_what_an_earlier_call_has_left_which_is_no_reason(
    bench: Bench,
) -> None:
    verdict = bench.evaluate(MEAN, candidate(*BY_ROWS, before="self.kept = {}"))

    assert verdict.accepted, verdict.message


def test_what_kernels_are_to_leave_is_wrong_without_doubt_for_what_is_asked_next() -> None:
    # Honest kernels were refused where it was chosen by the task's own inputs, and only just another answer.
    asked, near, far = (expecting(value) for value in (10.9, 11.0, 11.4))
    answers = {"signed": near, "scaled": far}
    reference = SimpleNamespace(
        info=SimpleNamespace(tune_case="tune"),
        distributions=lambda case: ["signed"],
        offered=lambda case: ["signed", "scaled"],
        answer=lambda case, name: SimpleNamespace(inputs=name, outputs=(answers[name],)),
    )
    assert not asked.admits(near)

    assert audit._another(reference, (asked,), {0}) == "scaled"


def test_kernels_that_are_only_used_on_other_inputs_do_not_count(bench: Bench) -> None:
    decoy = candidate(
        "kernels.nothing(x)",
        "if x.view(-1)[::997].min() >= 0: return torch.tanh(x).sum(1), x.mean().half()",
        *BY_ROWS,
        before="self.kept = {}",
    )

    assert bench.evaluate(MEAN, decoy).reason == "no_kernel"


def test_results_whose_number_depends_on_values_are_no_error(bench: Bench) -> None:
    found = task("return torch.nonzero(x > 0.99)", "torch.rand(300, 40)")

    verdict = bench.evaluate(found, candidate("kernels.nothing(x)", "return torch.nonzero(x > 0.99)"))

    assert verdict.reason == "no_kernel", verdict.message


def test_an_output_that_follows_a_state_is_compared_from_the_same_state(bench: Bench) -> None:
    moving = 'self.register_buffer("mean", torch.zeros(50))'
    lines = "self.mean.mul_(0.5).add_(x.mean(0), alpha=0.5)", "return x - self.mean"
    task_text = task("; ".join(lines), "torch.rand(400, 50)", moving)

    verdict = bench.evaluate(task_text, candidate("kernels.nothing(x)", *lines, before=moving))

    assert verdict.reason == "no_kernel", verdict.message
