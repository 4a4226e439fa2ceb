"""The whole program on a small task: outcomes, exit codes, files; and as a user runs it, interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_helpers import TASK, one_line, parsed

from kernelwright.errors import EXIT_INTERRUPTED, EXIT_NEGATIVE, EXIT_OK, EXIT_USAGE
from kernelwright.profile import BOUNDS

pytestmark = pytest.mark.slow

KERNEL = '''\
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <tvm/ffi/container/tensor.h>

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t n = x.numel();
#pragma omp parallel for simd
  for (int64_t i = 0; i < n; ++i) out[i] = (in[i] > 0 ? in[i] : 0) * 2 + OFFSET;
}
"""
_module = tvm_ffi.cpp.load_inline(
    name="run", cpp_sources=CPP, functions="run", extra_cflags=["-O3", "-march=native", "-fopenmp", "-DOFFSET=%s"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        _module.run(x.contiguous(), y)
        return y
'''
VERDICT_FIELDS = {
    "outcome", "reason", "speedup", "speedup_ci", "time_us", "reference_us", "floor_us", "coverage", "library_calls",
    "evidence", "stages", "sandbox",
}  # fmt: skip
RESULT_FIELDS = {
    "outcome", "best", "source_path", "report_path", "run", "evaluated", "seconds", "comparison",
}  # fmt: skip


def test_task_is_described_with_its_floor(judging):
    described = parsed(judging("task", "show", "task.py", "--json"))
    assert described["fair"]
    assert described["cases"][0]["bytes"] == 2 * 4 * 512 * 1024
    assert described["cases"][0]["floor_us"] > 0


def test_profile_says_what_bounds_a_kernel_and_who_says_so(judging, tmp_path):
    (tmp_path / "kernel.py").write_text(KERNEL % "1.0f")
    done = judging("profile", "task.py", "kernel.py", "--json")
    found = parsed(done)
    assert (done.exit_code, set(found)) == (EXIT_OK, {"verdict", "diagnosis"})
    diagnosis = found["diagnosis"]
    assert diagnosis["bound"] in BOUNDS
    assert diagnosis["share"] == pytest.approx(diagnosis["floor_us"] / diagnosis["time_us"])
    by = {fact["name"]: fact["by"] for fact in diagnosis["facts"]}
    assert by.items() >= {"roof_share": "judge", "memory_us": "judge", "inside_us": "candidate"}.items()
    counted = any(who == "system" for who in by.values())
    assert counted or any("counters are read" in each for each in diagnosis["missing"])


def test_wrong_kernel_is_rejected_with_its_reason_and_has_no_profile(judging, tmp_path):
    (tmp_path / "kernel.py").write_text(KERNEL % "1.001f")
    done = judging("profile", "task.py", "kernel.py")
    assert done.exit_code == EXIT_NEGATIVE
    assert "wrong values" in done.stdout
    assert "there is no profile" in done.stdout


def test_compiler_message_reaches_the_user(judging, tmp_path):
    (tmp_path / "kernel.py").write_text(KERNEL.replace("int64_t n =", "int64_t n ==") % "1")
    done = judging("evaluate", "task.py", "kernel.py")
    assert done.exit_code == EXIT_NEGATIVE
    assert "build failed" in done.stdout
    assert "expected initializer" in done.stdout


def test_task_that_raises_is_one_line_with_its_place(judging, tmp_path):
    (tmp_path / "task.py").write_text(TASK.replace("return torch.relu(x) * 2 + 1", "return x.no_such_method()"))
    done = judging("task", "show", "task.py")
    assert done.exit_code == EXIT_USAGE
    assert "task.py:7" in one_line(done.stderr)


def test_interrupted_search_goes_on_and_ends_with_a_kernel_that_the_judge_accepts_again(program, judging, tmp_path):
    searching = subprocess.Popen(
        [sys.executable, "-m", "kernelwright.cli", "optimize", "task.py", "--budget", "100s", "--evaluations", "2"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert searching.stderr is not None
    run = next(line.split()[-1] for line in searching.stderr if " run " in line)
    next(line for line in searching.stderr if "×" in line)
    searching.send_signal(signal.SIGINT)
    said = searching.stderr.read()
    assert searching.wait(60) == EXIT_INTERRUPTED
    assert f"kernelwright resume {run}" in said
    assert "Traceback" not in said

    before = parsed(judging("show", run, "--json"))["candidates"]
    assert before
    done = program("resume", run, "--json")
    found = parsed(done)
    assert set(found) >= RESULT_FIELDS
    assert done.stderr == ""
    assert done.returncode == (EXIT_OK if found["outcome"] == "faster" else EXIT_NEGATIVE)
    assert found["evaluated"] >= len(before)
    assert found["best"]["outcome"] == "accepted"
    assert "<html" in (tmp_path / found["report_path"]).read_text()
    after = [candidate["candidate"] for candidate in parsed(judging("show", run, "--json"))["candidates"]]
    assert after[: len(before)] == [candidate["candidate"] for candidate in before]
    assert len(set(after)) == len(after)
    assert judging("resume", run).exit_code == EXIT_USAGE

    again = judging("evaluate", "task.py", found["source_path"], "--json")
    verdict = parsed(again)
    assert set(verdict) >= VERDICT_FIELDS
    assert (again.exit_code, verdict["outcome"], verdict["reason"]) == (EXIT_OK, "accepted", None)
    listed = next(each for each in parsed(judging("runs", "--json")) if each["run"] == run)
    assert listed["outcome"] == found["outcome"]


def test_live_module_gets_a_kernel_with_its_own_weights(judging, tmp_path):
    import torch

    import kernelwright

    torch.manual_seed(0)
    model = torch.nn.LayerNorm(1024)
    with torch.no_grad():
        model.weight.uniform_(0.5, 2)
        model.bias.normal_()
    result = kernelwright.optimize(model, (torch.randn(512, 1024),), budget=150, evaluations=1, out=tmp_path)
    assert result.outcome in ("faster", "not_faster")
    x = torch.randn(512, 1024)
    torch.testing.assert_close(result.kernel(x), model(x), rtol=1e-4, atol=1e-5)
    assert Path(result.source_path or "").read_text().endswith(str(result.source).rstrip() + "\n")
