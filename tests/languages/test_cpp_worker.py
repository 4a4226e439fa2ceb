from __future__ import annotations

from pathlib import Path

import pytest
from language_worker import in_worker, load

from kernelwright.errors import MachineError
from kernelwright.languages import cpp_worker
from kernelwright.languages.cpp import Cpp

TVM = '''
import torch
import tvm_ffi.cpp
CPP = r"""
void twice(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* a = static_cast<const float*>(x.data_ptr());
  float* b = static_cast<float*>(y.data_ptr());
#pragma omp parallel for
  for (int64_t i = 0; i < x.numel(); ++i) b[i] = 2 * a[i];
}
int64_t answer() { return 42; }
"""
kernels = tvm_ffi.cpp.load_inline("k", cpp_sources=CPP, functions=["twice", "answer"],
    extra_cflags=["-O3", "-march=native", "-fopenmp"], extra_ldflags=["-fopenmp"])

def run():
    x, y = torch.arange(4.0), torch.full((4,), -1.0)
    kernels.twice(x, y)
    kernels["twice"](x, y)
    kernels.get_function("answer")()
    return y
'''
TORCH = """
import torch
from torch.utils.cpp_extension import load_inline
# Not torch/extension.h, which takes three times as long to compile.
CPP = r'''
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/utils/pybind.h>
at::Tensor plus(at::Tensor x) { return x.add_(1); }
'''
kernels = load_inline("ext", cpp_sources=CPP, functions=["plus"], no_implicit_headers=True)

def run():
    x = torch.zeros(3)
    return torch.cat([x, kernels.plus(x)])
"""
INDUCTOR = '''
import torch
from torch._inductor.async_compile import AsyncCompile
async_compile = AsyncCompile()
double_it = async_compile.cpp_pybinding(["const float*", "float*"], """
#include <torch/csrc/inductor/cpp_prefix.h>
extern "C" void kernel(const float* x, float* y) { for (int i = 0; i < 4; ++i) y[i] = 2 * x[i]; }
""")
async_compile.wait(globals())

def run():
    x, y = torch.arange(4.0), torch.full((4,), -1.0)
    double_it(x, y)
    return y
'''


def judge(source, folder, readonly):
    from kernelwright.languages import cpp_worker

    run = load(source, folder, readonly)["run"]
    plain = run().tolist()
    cpp_worker.census_start()
    run()
    census = cpp_worker.census()
    cpp_worker.ablate(True)
    ablated = run().tolist()
    cpp_worker.ablate(False)
    return plain, census, ablated, run().tolist()


def snapshot(folder):
    return {path: path.lstat().st_mtime_ns for path in Path(folder).rglob("*")}


def check(source, folder, kernel, calls, right):
    before = None
    for readonly in (False, True):
        kind, answer = in_worker(judge, source, str(folder), readonly)
        assert kind == "result", answer
        plain, census, ablated, restored = answer
        assert plain == restored == right
        assert ablated != right
        assert census["kernels"][kernel]["calls"] == calls
        assert 0 < census["kernels"][kernel]["seconds"] <= census["seconds"] < 60
        assert before is None or snapshot(folder) == before, "the second run wrote to the build folder"
        before = snapshot(folder)
    return ablated


def test_tvm_ffi_kernels_are_built_once_counted_and_switched_off(tmp_path):
    ablated = check(TVM, tmp_path, "twice", 2, [0.0, 2.0, 4.0, 6.0])
    assert ablated == [-1.0] * 4


@pytest.mark.slow
def test_inductor_kernels_too(tmp_path):
    assert check(INDUCTOR, tmp_path, "double_it", 1, [0.0, 2.0, 4.0, 6.0]) == [-1.0] * 4


@pytest.mark.slow
def test_torch_extensions_too_and_what_they_return_is_poisoned(tmp_path):
    ablated = check(TORCH, tmp_path, "plus", 1, [1.0] * 6)
    assert ablated[:3] == [0.0] * 3
    assert all(value != value for value in ablated[3:])


def build_twice(folder):
    load(TVM, folder, False)
    return [path.name for path in Path(folder).iterdir()]


def test_a_source_that_changes_from_run_to_run_is_refused(tmp_path):
    assert in_worker(build_twice, str(tmp_path)) == ("result", ["tvm"])
    kind, message = in_worker(judge, TVM.replace("2 * a[i]", "3 * a[i]"), str(tmp_path), True)
    assert kind == "RuntimeError"
    assert "must not change" in message


def imports_of_a_torch_only_candidate(folder):
    import sys

    for name in [name for name in sys.modules if name.startswith("tvm_ffi")]:
        del sys.modules[name]
    load("import torch\n", folder, False)
    return "tvm_ffi" in sys.modules


def test_a_candidate_pays_only_for_what_it_imports(tmp_path):
    assert in_worker(imports_of_a_torch_only_candidate, str(tmp_path)) == ("result", False)


def overhead(folder):
    import timeit

    from kernelwright.languages.census import counted

    raw = abs
    wrapped = counted(lambda _: "abs", raw)
    best = [min(timeit.repeat(lambda call=call: call(1), number=20000, repeat=9)) / 20000 for call in (raw, wrapped)]
    return best[1] - best[0]


def test_counting_costs_little_when_no_census_runs(tmp_path):
    kind, seconds = in_worker(overhead, str(tmp_path))
    assert kind == "result"
    assert seconds < 3e-6  # 0.1 µs on a quiet machine


def test_the_compiler_key_is_stable_and_a_missing_compiler_is_named(monkeypatch):
    assert Cpp().compiler_key() == Cpp().compiler_key()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MachineError, match=r"no C\+\+ compiler .*; install g\+\+"):
        Cpp().compiler_key()


@pytest.mark.slow
def test_prepared_headers_are_used(tmp_path, monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path / "home"))
    headers = Cpp().shared()
    cpp_worker.prepare(str(headers))
    assert (headers / "tvm_ffi.h.gch").exists()
    assert list((headers / "inductor").glob("*.h.gch"))
    before = snapshot(headers)
    for name, source in {"tvm": TVM, "inductor": INDUCTOR}.items():
        assert in_worker(flags_of_a_build, source, str(tmp_path / name), str(headers)) == ("result", True)
    (headers / "draft-of-one-that-was-ended" / "cache").mkdir(parents=True)
    cpp_worker.prepare(str(headers))
    assert snapshot(headers) == before


def flags_of_a_build(source, folder, headers):
    """Whether the compiler was told to include a header from the prepared folder."""
    import subprocess

    commands = []
    original = subprocess.Popen.__init__

    def watch(self, args, *rest, **options):
        commands.append(args if isinstance(args, str) else " ".join(args))
        original(self, args, *rest, **options)

    subprocess.Popen.__init__ = watch
    load(source, folder, False, headers)
    ninja = "".join(path.read_text() for path in Path(folder).rglob("build.ninja"))
    return f"-include {headers}" in " ".join(commands) + ninja
