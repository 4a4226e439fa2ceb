"""The half of CUDA C++ that runs beside the candidate, in the sandbox. Torch and the standard library only.

Builds go where those of C++ go, and functions are counted as there. They return before the device has done what they
launch, so a census is given the device's own moments.
"""

from __future__ import annotations

import os
from typing import Any

import torch

from kernelwright import toolchain
from kernelwright.languages import inline_builds, ptxas
from kernelwright.languages.census import ablate, census, census_start

__all__ = ["ablate", "census", "census_start", "install", "prepare", "resources"]

HOPPER = (9, 0)
"""What is compiled for where there is no device."""
_builds: inline_builds.Builds | None = None


def prepare(folder: str) -> None:
    """Nothing is shared by builds: nvcc reads no header that gcc has precompiled."""


def install(build_dir: str, readonly: bool, shared: str = "") -> None:  # noqa: ARG001 - see `Language.worker_module`
    """Call once, before the candidate is loaded.

    Args:
        build_dir: the candidate's own folder: builds go there, and are found there.
        readonly: load what a first run built; anything else raises `RuntimeError`.
        shared: no matter here.

    Raises:
        MachineError: there is no nvcc to build with.
    """
    global _builds
    _builds = inline_builds.Builds(build_dir, readonly)
    if not readonly:
        os.environ["CUDA_HOME"] = str(toolchain.cuda_home())
        os.environ["TVM_FFI_CUDA_ARCH_LIST"] = os.environ["TORCH_CUDA_ARCH_LIST"] = _architecture()
    inline_builds.install(_builds, _told)


def resources() -> dict[str, dict[str, int]]:
    """What ptxas said that one block of each kernel takes of the device, by name; known where it has been built."""
    if _builds is None:
        return {}
    logs = sorted(_builds.folder.glob(f"*/*/{inline_builds.LOG}"))
    kernels = ptxas.read("".join(log.read_text() for log in logs))
    return dict(zip(ptxas.readable(list(kernels)), kernels.values(), strict=True))


def static(_source: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Nothing: kernels are built for the machine at hand."""
    return {}


def _architecture() -> str:
    """The device's compute capability as compilers are told it, with the instructions that it alone has: `9.0a`."""
    initialised = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    major, minor = torch.cuda.get_device_capability() if initialised else HOPPER
    return f"{major}.{minor}" + ("a" if major >= HOPPER[0] else "")


def _told(options: dict[str, Any]) -> dict[str, Any]:
    """A build's options with what has ptxas say what kernels take, and what finds the runtime that nvcc belongs to,
    where torch has not loaded it already."""
    compiler = [*(options.get("extra_cuda_cflags") or ()), "-Xptxas", "-v"]
    linker = [*(options.get("extra_ldflags") or ()), f"-Wl,-rpath,{os.environ['CUDA_HOME']}/lib64"]
    return {**options, "extra_cuda_cflags": compiler, "extra_ldflags": linker}
