"""CUDA C++ inside a Python module, built with nvcc through tvm-ffi when the module is imported; the trusted half."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import replace
from pathlib import Path

from kernelwright import toolchain
from kernelwright.languages import diagnostics
from kernelwright.languages.base import BuildProblem, Language, SourceReport
from kernelwright.languages.fingerprint import fingerprint, said_version, version_of
from kernelwright.languages.source import read_source

_LIBRARY_CALL = re.compile(r"\b(?:cublas|cudnn|cufft|cusolver|cusparse)\w+(?=\s*\()")
"""NVIDIA's libraries, called from the candidate's own C++."""


class Cuda(Language):
    """CUDA C++17, built by `tvm_ffi.cpp.load_inline(..., cuda_sources=...)`. What counts as a kernel is a function that
    this exports: host code that launches as much as it likes."""

    name = "cuda"
    worker_module = "kernelwright.languages.cuda_worker"
    imports = ("tvm_ffi.cpp",)
    runs_on = ("gpu",)

    def inspect(self, source: str) -> SourceReport:
        """See `Language.inspect`. Kernels are the names in `functions=`; calls of NVIDIA's libraries in the C++ are
        listed with those of torch."""
        report = read_source(source)
        if report.problem:
            return report
        calls = dict.fromkeys((*report.library_calls, *_LIBRARY_CALL.findall(source)))
        return replace(report, library_calls=tuple(calls))

    def explain(self, source: str, output: str) -> BuildProblem:
        """See `Language.explain`. Understands nvcc, ptxas and gcc."""
        return diagnostics.explain(source, output)

    def environment(self, *, on_gpu: bool) -> dict[str, str]:  # noqa: ARG002 - there is no other device
        """See `Language.environment`: tvm-ffi would ask torch for devices when it is imported, and after that no worker
        could use one. What it does without only saves some µs, with a torch before 2.10."""
        return {"TVM_FFI_DISABLE_TORCH_C_DLPACK": "1"}

    def compiler_key(self) -> str:
        """See `Language.compiler_key`.

        Raises:
            MachineError: there is no nvcc, no C++ compiler or no ninja.
        """
        toolchain.ninja()
        home = toolchain.cuda_home()
        compilers = [said_version(command) for command in ([str(home / "bin" / "nvcc")], toolchain.compiler())]
        packages = version_of("apache-tvm-ffi"), version_of("torch"), platform.python_version()
        return fingerprint(str(home), *compilers, os.environ.get("NVCC_CCBIN", ""), *packages, platform.machine())

    def guide(self) -> str:
        """See `Language.guide`."""
        return Path(__file__).with_name("guides").joinpath("cuda.md").read_text()
