"""The catalogue's Triton: interpreted kernels are right, and compiled ones fit an H100 that is not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import triton_modules
from triton_modules import MODULES, loaded, planned, programmed

from kernelwright.languages import triton_compile
from kernelwright.proposers import params
from kernelwright.proposers.catalogue.module import write
from kernelwright.tasks import Graph, Task, TaskInfo
from kernelwright.tasks.host import Reference

GPU_TASKS = Path(__file__).parents[2] / "benchmarks" / "gpu_tasks"
BY_NAME = {name: (function, inputs) for name, function, inputs in MODULES}


def text(name: str) -> str:
    """The candidate for one of the modules."""
    _, info, program = programmed(*BY_NAME[name])
    return write(program, info)


class Launches:
    """Stands for a kernel: keeps what it is launched with."""

    def __init__(self, kernel: Any, kept: list[tuple[Any, tuple[Any, ...], dict[str, Any]]]) -> None:
        self.kernel, self.kept = kernel, kept

    def __getitem__(self, grid: Any) -> Any:
        return lambda *args, **kwargs: self.kept.append((self.kernel.fn, args, kwargs))


def compiled(path: Path, folder: Path) -> list[Any]:
    """The kernels of a task's candidate, compiled for an H100."""
    reference = Reference(Task.load(path).source.model_dump())
    info = TaskInfo.model_validate(reference.describe())
    module = loaded(
        write(planned(Graph.model_validate(reference.export(info.tune_case.name))), info), folder, path.stem
    )
    kept: list[Any] = []
    for name, value in list(vars(module).items()):
        if name.startswith("kernel_"):
            setattr(module, name, Launches(value, kept))
    tensors = [each.tensor for each in info.tune_case.inputs if each.tensor is not None]
    module.ModelNew()(*(torch.empty(one.shape, dtype=getattr(torch, one.dtype), device="meta") for one in tensors))
    return [triton_compile.compile_for(90, *launch) for launch in kept]


@pytest.mark.slow
def test_interpreted_kernels_compute_what_torch_does(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, triton_modules.__file__, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["softmax_4096", "rotary_2048", "cross_entropy_4096", "matmul_2048"])
def test_compiled_kernels_spill_nothing_and_move_16_bytes_at_a_time(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernels = compiled(GPU_TASKS / f"{name}.py", tmp_path)
    for kernel in kernels:
        assert triton_compile.resources(kernel)["spilled_bytes"] == 0
        assert triton_compile.resources(kernel)["shared_bytes"] <= triton_modules.H100.l1_bytes
    assert ".v4.b32" in kernels[0].asm["ptx"]


def test_a_row_that_fits_is_read_once_and_a_long_one_in_one_sweep() -> None:
    assert text("softmax").count("tl.load(") == 1
    long = text("cross_entropy")
    assert "online_reduce(exponentials)" in long and long.count("for start in tl.range(") == 1


def test_few_results_are_combined_by_many_programs() -> None:
    source = text("one_sum")
    declared = params.read(source)
    assert declared is not None and {"SHARES", "BLOCK", "WARPS"} <= set(declared.space)
    assert "def kernel_0_0(" in source and "def kernel_0_1(" in source


def test_products_are_exact_and_keep_what_follows_in_their_kernel() -> None:
    gelu = text("linear_gelu")
    assert gelu.count("@triton.jit") == 1 and "tl.dot(left, right, total)" in gelu and "tl.erf(" in gelu
    assert 'input_precision="ieee"' in text("batched")


def test_what_it_has_no_kernel_for_stays_a_library_call() -> None:
    source = text("running")
    assert "torch.ops.aten.cumsum" in source and "@triton.jit" in source


def test_new_tensors_lie_where_the_inputs_do() -> None:
    source = text("one_sum")
    made = [line for line in source.splitlines() if "torch.empty(" in line]
    assert made and all("device=inputs_0.device" in line for line in made)
