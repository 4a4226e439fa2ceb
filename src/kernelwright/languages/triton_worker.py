"""The half of the Triton language that runs beside the candidate, in the sandbox. Torch and the standard library only;
Triton itself is imported by the candidate.

Kernels are compiled into the candidate's own folder when it is built, and found there afterwards. Every launch is
counted, whichever way it is made: that of a compiled kernel, which all ways lead to, and that of an interpreted one.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import platform
from pathlib import Path
from typing import Any

import torch

from kernelwright.languages.census import ablate, census, census_start, counted
from kernelwright.languages.on_import import on_import

__all__ = ["ablate", "census", "census_start", "install", "prepare", "resources", "static"]

_compiled: dict[str, Any] = {}
"""Kernels by name, as Triton compiled them."""
_launches: dict[str, Any] = {}
"""What interpreted kernels were first launched with, by their function's name."""


def prepare(folder: str) -> None:
    """Nothing is shared by builds."""


def install(build_dir: str, readonly: bool, shared: str = "") -> None:  # noqa: ARG001 - see `Language.worker_module`
    """Call once, before the candidate is loaded.

    Args:
        build_dir: the candidate's own folder: compiled kernels and what autotuning has chosen go there, and are found
            there; the sandbox sees to it that only a first run writes.
        readonly: no matter here: what was not compiled in the first run cannot be compiled later, since no program can
            be started then.
        shared: no matter here.
    """
    os.environ["TRITON_CACHE_DIR"] = build_dir
    os.environ["TRITON_CACHE_AUTOTUNING"] = "1"
    os.environ["TRITON_HOME"] = build_dir
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        os.environ["TRITON_LIBCUDA_PATH"] = _folder_of("libcuda.so")
        on_import("triton.backends.nvidia.compiler", functools.partial(_remember_version, Path(build_dir, "ptxas")))
        on_import("triton.runtime.build", _name_platform)
    else:
        on_import("triton.runtime.autotuner", _choose_first)
    on_import("triton.compiler.compiler", _count_compiled)
    on_import("triton.runtime.interpreter", _count_interpreted)


def resources() -> dict[str, dict[str, int]]:
    """What one block of each kernel that was launched takes of the device, by name; nothing of interpreted ones."""
    if not _compiled:
        return {}
    from kernelwright.languages import triton_compile

    return {name: triton_compile.resources(kernel) for name, kernel in _compiled.items()}


def static(source: str) -> dict[str, dict[str, dict[str, Any]]]:
    """See `triton_static.compiled`: of kernels that were interpreted, by architecture and name."""
    from kernelwright.languages import triton_static

    known = {name: launch for name, launch in _launches.items() if launch is not None}
    return triton_static.compiled(source, known) if known else {}


def _folder_of(library: str) -> str:
    """Where a library lies that this process has loaded: Triton would start a program to find out."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    path = next((line.split(maxsplit=5)[5] for line in lines if library in line.rpartition("/")[2]), "")
    return str(Path(path).parent) if path else ""


def _remember_version(file: Path, compiler: Any) -> None:
    """Has the version of ptxas, which names what is in the cache, asked for in the first run and read afterwards, when
    no program can be started."""
    ask = compiler.get_ptxas_version

    @functools.lru_cache
    def version(*arguments: Any) -> str:
        if not file.exists():
            file.write_text(ask(*arguments))
        return file.read_text()

    compiler.get_ptxas_version = version


def _name_platform(build: Any) -> None:
    """Has the platform, which names what is in the cache too, be the same where no program can be asked about it."""
    build.platform_key = lambda: f"{platform.machine()},{platform.system()}"


def _choose_first(autotuner: Any) -> None:
    """Has a kernel that is to be tuned take its first configuration: without a GPU there is nothing to measure."""
    kernel_type = autotuner.Autotuner
    make = kernel_type.__init__

    def first(kernel: Any, function: Any, names: Any, configs: Any, *args: Any, **kwargs: Any) -> None:
        make(kernel, function, names, configs[:1], *args, **kwargs)

    kernel_type.__init__ = first


def _count_compiled(compiler: Any) -> None:
    kernel_type = compiler.CompiledKernel
    run = kernel_type.run.fget

    def counted_run(kernel: Any) -> Any:
        launch = kernel.__dict__.get("_counted")
        if launch is None:
            launch = kernel.__dict__["_counted"] = counted(lambda _: kernel.name, run(kernel))
            _compiled[kernel.name] = kernel
        return launch

    kernel_type.run = property(counted_run)


def _count_interpreted(interpreter: Any) -> None:
    kernel_type = interpreter.InterpretedFunction
    run = kernel_type.run

    from kernelwright.languages import triton_static

    def counted_run(kernel: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> Any:
        if kernel.fn.__name__ not in _launches:
            _launches[kernel.fn.__name__] = triton_static.described(args, kwargs)
        launch = kernel.__dict__.get("_counted")
        if launch is None:
            own = functools.partial(run, kernel)
            launch = kernel.__dict__["_counted"] = counted(lambda _: kernel.fn.__name__, own)
        return launch(*args, grid=grid, warmup=warmup, **kwargs)

    kernel_type.run = counted_run
    _widen_products(interpreter)


def _widen_products(interpreter: Any) -> None:
    """Has products of bfloat16 computed from their values: the interpreter multiplies the integers that hold them. And
    lets those of float32 be asked for in parts of bfloat16, as they may be on devices: it multiplies float32."""
    options = interpreter.interpreter_builder.options
    ways = dict.fromkeys((*options.allowed_dot_input_precisions, "bf16x3", "bf16x6"))
    interpreter.interpreter_builder.options = dataclasses.replace(options, allowed_dot_input_precisions=tuple(ways))
    builder = interpreter.InterpreterBuilder
    product = builder.create_dot

    def valued(operand: Any) -> Any:
        if not operand.dtype.scalar.is_bf16():
            return operand
        values = (operand.data.astype("uint32") << 16).view("float32")
        return interpreter.TensorHandle(values, interpreter.tl.float32)

    def wide_product(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        return product(self, valued(a), valued(b), *rest)

    builder.create_dot = wide_product
