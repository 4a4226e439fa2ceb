"""What the judge says of honest, wrong and hostile candidates."""

from __future__ import annotations

from textwrap import dedent

import pytest
from judge_bench import Bench
from judge_sources import AFFINE, HONEST, OWN, torch_only, with_kernel

from kernelwright.judge.verdict import Verdict


def test_an_honest_kernel_is_accepted_with_its_evidence(bench: Bench) -> None:
    verdict = bench.known(AFFINE, HONEST)

    assert verdict.accepted, verdict.message
    assert [stage.status for stage in verdict.stages] == ["passed"] * 6
    assert verdict.speedup is not None
    assert verdict.speedup_ci is not None
    assert verdict.speedup_ci[0] <= verdict.speedup <= verdict.speedup_ci[1]
    assert verdict.time_us and verdict.reference_us and verdict.floor_us
    assert verdict.coverage is not None and 0 < verdict.coverage <= 1
    kernel = verdict.evidence["kernels"]["affine"]
    assert kernel["calls"] == 1 and 0 < kernel["seconds"] < 10
    counters = verdict.evidence["counters"]
    # Beside a fast reference, as on a busy machine, a candidate's batches are shorter.
    assert 0 < counters["calls"] <= verdict.timings[0].calls and counters["seconds"] > 0
    assert counters["missing"] or {"cycles", "instructions", "cache_misses"} <= counters.keys()
    assert counters.get("busy_s", 1e-6) > 0
    assert verdict.proof is not None
    assert set(verdict.proof.cases) == {"default", "one row", "secret"}
    assert {"own", "signed"} <= set(verdict.proof.distributions)
    assert verdict.error is not None and verdict.error.max <= verdict.error.allowed_max
    assert verdict.model_dump()["floor_share"] == verdict.floor_share
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


REJECTED = {
    "no ModelNew": ("import torch\n", "does_not_load"),
    "syntax error": ("import torch\ndef f(:\n", "does_not_load"),
    "raises while loading": (torch_only("return x", before="raise ValueError('no')"), "does_not_load"),
    "exits while loading": (torch_only("return x", before="import sys; sys.exit(0)"), "does_not_load"),
    "kills itself": (torch_only("import os", "os._exit(0)"), "crashed"),
    "segfaults": (torch_only("import ctypes", "ctypes.string_at(0)"), "crashed"),
    "raises": (torch_only("raise RuntimeError('not today')"), "crashed"),
    "wrong values": (torch_only("return torch.relu(x * self.weight + self.bias) * 1.0001"), "wrong_values"),
    "one wrong element": (
        torch_only("y = torch.relu(x * self.weight + self.bias)", "y[0, 0] += 0.01", "return y"),
        "wrong_values",
    ),
    "half precision": (torch_only("return torch.relu(x.half() * self.weight + self.bias).float()"), "wrong_values"),
    "NaN": (torch_only("return torch.relu(x * self.weight + self.bias) / 0 * 0"), "non_finite"),
    "wrong shape": (torch_only("return torch.relu(x * self.weight + self.bias)[:-1]"), "wrong_shape"),
    "wrong dtype": (torch_only("return torch.relu(x * self.weight + self.bias).double()"), "wrong_dtype"),
    "two outputs": (torch_only("return x, x"), "wrong_shape"),
    "no tensor": (torch_only("return 1.0"), "wrong_shape"),
    "a tensor that computes when looked at": (
        torch_only("return Lazy(x)", before="class Lazy(torch.Tensor):\n    pass\n"),
        "wrong_shape",
    ),
    "writes into its input": (
        torch_only("y = torch.relu(x * self.weight + self.bias)", "x.zero_()", "return y"),
        "mutates_inputs",
    ),
    "no kernel": (torch_only("return torch.relu(x * self.weight + self.bias)"), "no_kernel"),
    "decoy kernel": (with_kernel(*OWN, "return torch.relu(x * self.weight + self.bias)"), "no_kernel"),
    "right only once": (
        torch_only(
            "key = x.numpy().tobytes()",
            "self.seen = getattr(self, 'seen', {})",
            "self.seen[key] = self.seen.get(key, 0) + 1",
            "y = torch.relu(x * self.weight + self.bias)",
            "return y if self.seen[key] < 2 else y + 1",
        ),
        "not_repeatable",
    ),
    "only the shapes it knows": (with_kernel(*OWN, "return y if x.shape[0] != 77 else y + 1"), "fails_held_out"),
    "asks for all memory": (torch_only("return torch.empty(1 << 40)"), "over_limit"),
    "remembers by pointer": (
        with_kernel(
            "self.seen = getattr(self, 'seen', {})",
            "if x.data_ptr() not in self.seen:",
            "    y = torch.empty_like(x)",
            "    kernels.affine(x, self.weight.detach(), self.bias.detach(), y)",
            "    self.seen[x.data_ptr()] = y",
            "return self.seen[x.data_ptr()].clone()",
        ),
        None,
    ),
    "does not build": (HONEST.replace("const long n =", "const lung n ="), "build_failed"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_what_must_not_pass_does_not(bench: Bench, name: str) -> None:
    source, reason = REJECTED[name]

    verdict = bench.known(AFFINE, source)

    assert verdict.outcome == "rejected"
    assert reason is None or verdict.reason == reason, verdict.message
    assert verdict.message
    assert verdict.speedup is None


def test_wrong_values_name_the_element(bench: Bench) -> None:
    source, _ = REJECTED["one wrong element"]

    evidence = bench.known(AFFINE, source).evidence

    assert evidence["element"] == [0, 0]
    assert evidence["got"] - evidence["expected"] == pytest.approx(0.01, rel=1e-3)
    assert evidence["case"] == "default"
    assert evidence["quantiles"]["0.5"] <= evidence["quantiles"]["0.99"] < 1e-6 < evidence["max_error"]


@pytest.mark.parametrize("body", ["raise RuntimeError('not one row')", "import os; os._exit(3)", "return x[:0]"])
def test_whatever_goes_wrong_on_a_case_names_it(bench: Bench, body: str) -> None:
    verdict = bench.evaluate(AFFINE, with_kernel(f"if x.shape[0] == 1: {body}", *OWN, "return y"))

    assert verdict.reason in ("crashed", "wrong_shape")
    assert (verdict.evidence["case"], verdict.evidence["distribution"]) == ("one row", "own")
    assert verdict.message.startswith("case one row: ")


def test_a_failed_build_names_the_line_of_the_candidate(bench: Bench) -> None:
    source, _ = REJECTED["does not build"]

    verdict = bench.known(AFFINE, source)

    line = verdict.evidence["line"]
    assert "lung" in source.splitlines()[line - 1]
    assert "lung" in verdict.message


def test_after_all_that_an_honest_kernel_is_still_accepted(bench: Bench) -> None:
    verdict = bench.evaluate(AFFINE, HONEST)
    assert verdict.accepted, verdict.message


def test_a_strict_task_refuses_library_calls_and_nothing_else(bench: Bench) -> None:
    beside = with_kernel(*OWN, "return y + torch.zeros_like(y).softmax(-1) * 0")
    assert bench.evaluate(AFFINE, HONEST, strict=True).accepted
    verdict = bench.evaluate(AFFINE, beside, strict=True)
    assert verdict.reason == "no_kernel"
    assert "softmax" in verdict.message


@pytest.mark.parametrize(
    ("body", "inner", "lasting"),
    [
        (["return y if x.shape[0] != 77 else y + 1"], "wrong_values", True),
        (["return y if x.shape[0] != 77 else torch.empty(1 << 40)"], "over_limit", False),
    ],
)
def test_a_held_out_case_that_fails_says_why_and_whether_that_lasts(
    bench: Bench, body: list[str], inner: str, lasting: bool
) -> None:
    verdict = bench.evaluate(AFFINE, with_kernel(*OWN, *body))

    assert (verdict.reason, verdict.evidence["inner_reason"], verdict.lasting) == ("fails_held_out", inner, lasting)


def test_what_it_sees_of_held_out_cases_no_later_stage_knows(bench: Bench) -> None:
    seen = "seen = globals().setdefault('SEEN', set()); seen.add(x.shape[0])"
    tells = "if 77 in seen and (x.shape[0] != 77 or 300 not in seen): raise RuntimeError(f'it is one of {seen}')"

    verdict = bench.evaluate(AFFINE, with_kernel(seen, tells, *OWN, "return y"))

    assert verdict.accepted, verdict.message


MEANS = dedent("""
    import torch
    from torch import nn

    class Model(nn.Module):
        def forward(self, x):
            return x.mean(-1, keepdim=True).expand(x.shape)

    def get_inputs():
        return [torch.rand(2048, 2048)]

    def get_init_inputs():
        return []
    """)
EXPANDED = r"""
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r'''
void means(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const long n = x.size(0), d = x.size(1);
  for (long i = 0; i < n; ++i) {
    const float* row = static_cast<const float*>(x.data_ptr()) + i * d;
    double sum = 0;
    for (long j = 0; j < d; ++j) sum += row[j];
    static_cast<float*>(y.data_ptr())[i] = static_cast<float>(sum / d);
  }
}
'''
kernels = tvm_ffi.cpp.load_inline("means", cpp_sources=CPP, functions=["means"], extra_cflags=["-O3", "-ffast-math"])

class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty(x.shape[0], 1)
        kernels.means(x, y)
        return y.expand(x.shape)
"""


def test_an_output_may_be_expanded_as_the_references_is(bench: Bench) -> None:
    verdict = bench.evaluate(MEANS, EXPANDED)

    assert verdict.accepted, verdict.message
