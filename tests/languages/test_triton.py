"""Triton as a language: what is read in a candidate, and what runs without a GPU."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernelwright import registry
from kernelwright.errors import MachineError

HONEST = Path(__file__).parents[1] / "gpu" / "honest"
TASK = """
import torch
from torch import nn


class Model(nn.Module):
    def forward(self, x):
        return torch.softmax(x, -1)


def get_init_inputs():
    return []


def get_inputs():
    return [torch.randn(4, 60)]


def get_cases():
    return [{"name": "odd", "role": "held_out", "inputs": lambda: [torch.randn(3, 33)]}]
"""


@pytest.fixture
def triton():
    return registry.load("languages", "triton")()


def candidate(name: str) -> str:
    return (HONEST / f"{name}.py").read_text()


@pytest.mark.parametrize(
    ("name", "kernel"),
    [("add", "add_kernel"), ("softmax", "softmax_kernel"), ("rms_norm", "rms_norm_kernel")],
)
def test_kernels_are_the_functions_that_triton_compiles(triton, name, kernel):
    report = triton.inspect(candidate(name))
    assert (report.problem, report.kernels, report.library_calls, report.builds_late) == ("", (kernel,), (), True)


def test_kernels_are_found_under_other_names_of_triton_and_their_own_operations_are_no_librarys(triton):
    source = """
import torch
import triton as t
from triton import jit
import triton.language as tl

@jit
def one(x, BLOCK: tl.constexpr):
    a = tl.load(x)
    tl.store(x, a @ a)

@t.autotune(configs=[], key=[])
@t.jit(do_not_specialize=["n"])
def two(x, n):
    tl.store(x, n)

def three(x):
    return x

class ModelNew(torch.nn.Module):
    def forward(self, x):
        one[(1,)](x, BLOCK=2)
        return torch.relu(x) @ x
"""
    report = triton.inspect(source)
    assert report.kernels == ("one", "two")
    assert report.library_calls == ("torch.relu", "@")


def test_a_compilers_complaint_names_the_line_of_the_candidate(triton):
    source = candidate("add").replace("tl.program_id(0)", "tl.no_such_thing(0)")
    output = (
        "triton.compiler.errors.CompilationError: at 2:9:\n"
        "def add_kernel(a_ptr, b_ptr, c_ptr, n, BLOCK: tl.constexpr):\n"
        "    at = tl.no_such_thing(0) * BLOCK + tl.arange(0, BLOCK)\n"
        "         ^\n"
        "AttributeError: module 'triton.language' has no attribute 'no_such_thing'\n"
    )
    problem = triton.explain(source, output)
    assert (
        source.splitlines()[problem.line - 1].strip()
        == problem.text
        == "at = tl.no_such_thing(0) * BLOCK + tl.arange(0, BLOCK)"
    )
    assert "no_such_thing" in problem.message
    assert triton.explain(source, "RuntimeError: something else").message == ""


def test_without_triton_it_says_how_to_install_it(triton, monkeypatch):
    from importlib.metadata import PackageNotFoundError

    from kernelwright.languages import triton as module

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", missing)
    with pytest.raises(MachineError, match="not installed") as error:
        triton.compiler_key()
    assert "pip install" in error.value.remedy


def test_the_guide_shows_a_candidate_that_can_be_one(triton):
    guide = triton.guide()
    shown = guide.partition("```python\n")[2].partition("```")[0]
    assert triton.inspect(shown).kernels == ("scaled_kernel",)


def test_a_kernel_is_compiled_for_a_gpu_that_is_not_there(tmp_path, monkeypatch):
    pytest.importorskip("triton")
    import importlib.util

    import torch

    from kernelwright.languages import triton_compile

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    spec = importlib.util.spec_from_file_location("candidate_add", HONEST / "add.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    x = torch.ones(1000)
    kernel = triton_compile.compile_for(90, module.add_kernel.fn, (x, x, x, 1000), {"BLOCK": 1024, "num_warps": 8})
    found = triton_compile.resources(kernel)
    assert found["warps"] == 8 and found["shared_bytes"] == 0 and found["spilled_bytes"] == 0
    assert 4 <= found["registers"] <= 255


WRONG = """
import triton
import triton.language as tl


@triton.jit
def twice(x):
    return x + x


@triton.jit
def product_kernel(a, b, c, N: tl.constexpr):
    at = tl.arange(0, N)[:, None] * N + tl.arange(0, N)[None]
    tl.store(c + at, twice(tl.dot(tl.load(a + at), tl.load(b + at))))


@triton.jit
def wrong_kernel(a):
    tl.store(a, nothing)
"""


def test_interpreted_kernels_are_compiled_for_gpus_that_are_not_there():
    pytest.importorskip("triton")
    import torch

    from kernelwright.languages import triton_static

    half = torch.empty(4, dtype=torch.float16)
    launches = {
        "product_kernel": triton_static.described((half, half, half), {"N": 256, "num_warps": 8}),
        "wrong_kernel": triton_static.described((half,), {}),
    }
    found = triton_static.compiled(WRONG, launches)
    assert set(found) == {"sm_80", "sm_90", "sm_100", "gfx942"}
    for kernels in found.values():
        assert "nothing is not defined" in kernels["wrong_kernel"]["problem"]
        product = kernels["product_kernel"]
        assert product["shared_bytes"] > 100_000
        assert product["registers"] > 0
        assert product["warps"] == 8
        assert "shared memory" in product["problem"]
    assert found["sm_80"]["product_kernel"]["spilled_bytes"] > 0


def test_what_cannot_be_told_or_loaded_is_no_error():
    pytest.importorskip("triton")
    from kernelwright.languages import triton_static

    assert triton_static.described((object(),), {}) is None
    assert triton_static.compiled("raise SystemExit(3)", {"k": {"args": [], "kwargs": {}}}) == {}


PRODUCT = """
import sys, torch
from kernelwright.languages import triton_worker
triton_worker.install(sys.argv[1], False)
import triton
import triton.language as tl

@triton.jit
def product(a_ptr, b_ptr, c_ptr, N: tl.constexpr):
    at = tl.arange(0, N)[:, None] * N + tl.arange(0, N)[None]
    tl.store(c_ptr + at, tl.dot(tl.load(a_ptr + at), tl.load(b_ptr + at), input_precision="bf16x6"))

kind = getattr(torch, sys.argv[2])
a, b, c = torch.randn(16, 16).to(kind), torch.randn(16, 16).to(kind), torch.empty(16, 16)
product[(1,)](a, b, c, N=16)
print(float((c.double() - a.double() @ b.double()).abs().max()))
"""


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_products_are_right_where_kernels_are_interpreted(tmp_path, dtype):
    pytest.importorskip("triton")
    path = tmp_path / "product.py"
    path.write_text(PRODUCT)
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    command = [sys.executable, str(path), str(tmp_path), dtype]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1e-4


@pytest.mark.slow
def test_on_the_cpu_the_judge_has_kernels_interpreted_and_counts_them(tmp_path, cpu):
    pytest.importorskip("triton")
    from kernelwright.judge.judge import Judge
    from kernelwright.proposers.base import Candidate
    from kernelwright.tasks import Task

    path = tmp_path / "softmax.py"
    path.write_text(TASK)

    async def judged(*sources: str):
        async with Judge(Task.load(path), cpu, language="triton") as judge:
            return [await judge.evaluate(Candidate(source=each, language="triton"), brief=True) for each in sources]

    right = candidate("softmax")
    wrong = right.replace("e / tl.sum(e, 0)", "e / tl.sum(e * 1.01, 0)")
    decoy = right.replace("return y", "return torch.softmax(x, -1)")
    accepted, rejected, beside = asyncio.run(judged(right, wrong, decoy))
    assert accepted.accepted, accepted.message
    assert accepted.evidence["kernels"]["softmax_kernel"]["calls"] == 1
    assert accepted.evidence["static"]["sm_90"]["softmax_kernel"]["warps"] == 4
    assert all(kernels["softmax_kernel"]["instructions"] > 50 for kernels in accepted.evidence["static"].values())
    assert rejected.reason == "wrong_values"
    assert beside.reason == "no_kernel"
