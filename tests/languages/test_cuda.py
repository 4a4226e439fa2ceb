"""CUDA C++ as a language: what needs no GPU. Where there is an nvcc, candidates are compiled for a Hopper GPU."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from language_worker import in_worker, load

from kernelwright import registry, toolchain
from kernelwright.errors import MachineError, UsageError
from kernelwright.judge.nursery import Zygote
from kernelwright.judge.sandbox import Confinement, visible_folders
from kernelwright.languages import ptxas
from kernelwright.languages.cuda import Cuda
from kernelwright.languages.loading import language_for

HONEST = Path(__file__).parents[1] / "gpu" / "honest"
CANDIDATE = '''
import torch
import tvm_ffi.cpp
from torch import nn

PARAMS = {"THREADS": 128}
CUDA = "".join(f"#define {k} {v}\\n" for k, v in PARAMS.items()) + r"""
#include <cuda_runtime.h>
template <int ROUNDS>
__global__ void scaled(const float* x, float* y, int64_t n) {
  __shared__ float tile[THREADS];
  const int64_t i = blockIdx.x * int64_t(THREADS) + threadIdx.x;
  tile[threadIdx.x] = i < n ? x[i] : 0;
  __syncthreads();
  if (i < n) y[i] = tile[threadIdx.x ^ 1] * FACTOR;
}
void scale(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  scaled<3><<<1, THREADS>>>(static_cast<const float*>(x.data_ptr()), static_cast<float*>(y.data_ptr()), x.numel());
}
void on_the_host(tvm::ffi::TensorView x) { static_cast<float*>(x.data_ptr())[0] = 1; }
"""
kernels = tvm_ffi.cpp.load_inline("k", cuda_sources=CUDA.replace("FACTOR", "2"), functions=["scale", "on_the_host"])


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        kernels.scale(x, y)
        return y
'''


def has_nvcc() -> bool:
    try:
        return toolchain.cuda_home().is_dir()
    except MachineError:
        return False


needs_nvcc = pytest.mark.skipif(not has_nvcc(), reason="there is no nvcc")


def built(source: str, folder: str, readonly: bool = False):
    """What is known of a candidate's kernels once it is built, how often a census counts a function that needs no GPU,
    and what that has done, switched on and off."""
    import torch

    from kernelwright.languages import cuda_worker

    kernels = load(source, folder, readonly, language="cuda")["kernels"]
    seen = []
    for switch in (cuda_worker.census_start, lambda: cuda_worker.ablate(True)):
        switch()
        x = torch.zeros(1)
        kernels.on_the_host(x)
        seen.append(x.item())
    return cuda_worker.resources(), cuda_worker.census()["kernels"]["on_the_host"]["calls"], seen


def test_kernels_are_the_functions_that_are_exported_and_nvidias_libraries_are_listed():
    source = CANDIDATE.replace("return y", "return torch.relu(y)")
    source = source.replace("__syncthreads();", "cublasLtMatmul (handle);")
    report = Cuda().inspect(source)
    assert (report.problem, report.kernels, report.builds_late) == ("", ("scale", "on_the_host"), False)
    assert report.library_calls == ("torch.relu", "cublasLtMatmul")
    assert Cuda().inspect("import torch\n").problem


def test_it_runs_on_gpus_only(cpu):
    from kernelwright.judge.judge import Judge
    from kernelwright.tasks import Task

    assert language_for("cuda", "gpu", "cuda").name == "cuda"
    with pytest.raises(UsageError, match="candidates in cuda do not run on cpu") as error:
        Judge(Task.load(HONEST.parent / "tasks" / "add.py"), cpu, language="cuda")
    assert "cpp" in error.value.remedy and "cuda" not in error.value.remedy


def test_a_missing_nvcc_is_named_with_what_to_do(tmp_path, monkeypatch):
    script = tmp_path / "bin" / "nvcc"
    script.parent.mkdir()
    script.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.setattr(toolchain, "USUAL", tmp_path / "local")
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MachineError, match="no nvcc") as error:
        toolchain.cuda_home()
    assert "CUDA_HOME" in error.value.remedy
    for release in ("cuda-9.2", "cuda-13.0"):
        for name in ("bin/nvcc", "include/cuda_runtime.h"):
            file = tmp_path / "local" / release / name
            file.parent.mkdir(parents=True)
            file.touch()
    assert toolchain.cuda_home() == tmp_path / "local" / "cuda-13.0"
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "local" / "cuda-9.2"))
    assert toolchain.cuda_home() == tmp_path / "local" / "cuda-9.2"


@needs_nvcc
def test_the_compiler_key_is_stable():
    assert Cuda().compiler_key() == Cuda().compiler_key()


@needs_nvcc
@pytest.mark.slow
def test_a_kernel_is_compiled_for_hopper_and_what_it_takes_is_known(tmp_path):
    kind, answer = in_worker(built, CANDIDATE, str(tmp_path))
    assert kind == "result", answer
    resources, calls, seen = answer
    assert list(resources) == ["scaled<3>"]
    assert 4 <= resources["scaled<3>"]["registers"] <= 255
    assert resources["scaled<3>"]["shared_bytes"] == 4 * 128
    assert resources["scaled<3>"]["spilled_bytes"] == 0
    assert (calls, seen) == (1, [1.0, 0.0])
    (ninja,) = tmp_path.rglob("build.ninja")
    assert "code=sm_90a" in ninja.read_text()
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert in_worker(built, CANDIDATE, str(tmp_path), True) == (kind, answer)
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert in_worker(built, CANDIDATE.replace('"2"', '"3"'), str(tmp_path), True)[0] == "RuntimeError"


@needs_nvcc
@pytest.mark.slow
def test_it_builds_in_the_sandbox_and_loads_where_no_program_can_be_started(shared_home):
    zygote = Zygote()
    zygote.start((), Cuda().environment(on_gpu=True))
    zygote.import_rest(Cuda.imports)
    folder = str(shared_home / "builds" / "cuda-in-the-sandbox")
    Path(folder).mkdir(parents=True)
    hidden = (str(shared_home),)
    building = Confinement(writable=(folder,), visible=visible_folders(), hidden=hidden, programs=True)
    loading = Confinement(visible=visible_folders((folder,)), hidden=hidden)
    request = {"source": CANDIDATE, "worker_module": Cuda.worker_module, "build_dir": folder, "shared": ""}
    try:
        worker = zygote.fork(building)
        worker.call("load", 240.0, readonly=False, **request)
        assert worker.call("resources", 60.0, source="")["resources"]["scaled<3>"]["shared_bytes"] == 4 * 128
        worker.close()
        zygote.fork(loading).call("load", 60.0, readonly=True, **request)
    finally:
        zygote.close()
        zygote.release()


@needs_nvcc
@pytest.mark.slow
def test_an_error_has_the_line_of_the_python_file(tmp_path):
    source = CANDIDATE.replace("FACTOR;", "undeclared;")
    kind, output = in_worker(built, source, str(tmp_path))
    assert kind == "RuntimeError"
    problem = Cuda().explain(source, output)
    assert (
        source.splitlines()[problem.line - 1].strip()
        == problem.text
        == "if (i < n) y[i] = tile[threadIdx.x ^ 1] * undeclared;"
    )
    assert problem.message == 'identifier "undeclared" is undefined'
    assert problem.output.startswith("cuda.cu(")
    assert str(tmp_path) not in problem.output


@needs_nvcc
@pytest.mark.slow
def test_what_only_the_assembler_finds_has_its_message(tmp_path):
    source = CANDIDATE.replace("tile[THREADS]", "tile[THREADS * THREADS * 32]")
    problem = Cuda().explain(source, in_worker(built, source, str(tmp_path))[1])
    assert "too much shared data" in problem.message
    assert "ptxas error" in problem.output


SAID = """ninja exited with status 1
stdout:
[1/2] /usr/local/cuda/bin/nvcc  --generate-dependencies-with-compile -Xptxas -v -c /b/cuda.cu -o cuda_0.o
FAILED: cuda_0.o
/usr/local/cuda/bin/nvcc  --generate-dependencies-with-compile -Xptxas -v -c /b/cuda.cu -o cuda_0.o
/b/cuda.cu(12): warning #177-D: variable "unused" was declared but never referenced
/b/cuda.cu(14): error: identifier "FACTOR" is undefined
    if (i < n) y[i] = tile[threadIdx.x ^ 1] * FACTOR;
                                              ^

1 error detected in the compilation of "/b/cuda.cu".
ninja: build stopped: subcommand failed.
"""


def test_nvccs_errors_are_understood_where_there_is_none():
    problem = Cuda().explain(CANDIDATE, SAID)
    assert problem.message == 'identifier "FACTOR" is undefined'
    assert CANDIDATE.splitlines()[problem.line - 1].strip() == problem.text
    assert problem.output.startswith('cuda.cu(14): error: identifier "FACTOR"')
    assert "nvcc" not in problem.output


def test_what_ptxas_says_is_read():
    said = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z3onePf' for 'sm_90a'
ptxas info    : Function properties for _Z3onePf
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 12 registers, used 1 barriers, 1024 bytes smem
ptxas info    : Compile time = 39.646 ms
ptxas info    : Compiling entry function '_Z3twoPf' for 'sm_90a'
ptxas info    : Function properties for _Z3twoPf
    48 bytes stack frame, 40 bytes spill stores, 36 bytes spill loads
ptxas info    : Function properties for _Z6helperPf
    8 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers
"""
    assert ptxas.read(said) == {
        "_Z3onePf": {"registers": 12, "spilled_bytes": 0, "shared_bytes": 1024},
        "_Z3twoPf": {"registers": 255, "spilled_bytes": 48, "shared_bytes": 0},
    }
    assert ptxas.read("ninja: no work to do.") == {}


def test_an_architecture_that_nvcc_does_not_know_is_no_riddle():
    said = "Unsupported gpu architecture 'compute_999a'"
    output = f"ninja exited with status 1\nFAILED: cuda_0.o\n/x/bin/nvcc  -c /x/cuda.cu\nnvcc fatal   : {said}\n"
    assert Cuda().explain(CANDIDATE, output).message == said


def example() -> str:
    return re.search(r"```python\n(.*?)```", Cuda().guide(), re.DOTALL)[1]


def test_the_guides_example_can_be_a_candidate():
    report = Cuda().inspect(example())
    assert (report.problem, report.kernels, report.library_calls) == ("", ("rms_norm",), ())


def compiled(source: str, folder: str):
    from kernelwright.languages import cuda_worker

    load(source, folder, False, language="cuda")
    return cuda_worker.resources()


@needs_nvcc
@pytest.mark.slow
@pytest.mark.parametrize("name", ["guide", *sorted(path.stem for path in HONEST.glob("cuda_*.py"))])
def test_honest_kernels_compile_and_spill_nothing(tmp_path, name):
    source = example() if name == "guide" else (HONEST / f"{name}.py").read_text()
    kind, resources = in_worker(compiled, source, str(tmp_path))
    assert kind == "result", resources
    assert resources
    assert all(facts["spilled_bytes"] == 0 for facts in resources.values())


def test_it_is_registered():
    assert registry.load("languages", "cuda") is Cuda
