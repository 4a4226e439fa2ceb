"""C++ inside a Python module, built with tvm-ffi when the module is imported; the trusted half."""

from __future__ import annotations

import platform
from pathlib import Path

from kernelwright import toolchain
from kernelwright.home import home
from kernelwright.languages import diagnostics
from kernelwright.languages.base import BuildProblem, Language, SourceReport
from kernelwright.languages.fingerprint import fingerprint, said_version, version_of
from kernelwright.languages.source import read_source


class Cpp(Language):
    """C++17 with OpenMP, built by `tvm_ffi.cpp.load_inline`, by torch's own (slow), or by inductor's bindings."""

    name = "cpp"
    worker_module = "kernelwright.languages.cpp_worker"
    imports = (
        "tvm_ffi.cpp",
        "torch._inductor.async_compile",
        "torch._inductor.compile_fx",
        "torch._inductor.select_algorithm",
    )

    def inspect(self, source: str) -> SourceReport:
        """See `Language.inspect`. Kernels are the names in `functions=`, and those given to inductor's bindings."""
        return read_source(source)

    def explain(self, source: str, output: str) -> BuildProblem:
        """See `Language.explain`. Understands gcc and clang, called through ninja or not."""
        return diagnostics.explain(source, output)

    def compiler_key(self) -> str:
        """See `Language.compiler_key`.

        Raises:
            MachineError: there is no C++ compiler or no ninja.
        """
        toolchain.ninja()
        packages = version_of("apache-tvm-ffi"), version_of("torch"), platform.python_version()
        return fingerprint(said_version(toolchain.compiler()), *packages, _cpu_flags())

    def shared(self) -> Path:
        """See `Language.shared`. With its headers a tvm-ffi build takes 1 s instead of 3, an inductor kernel 2 instead
        of 5."""
        folder = home() / "builds" / f"headers-{self.compiler_key()}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def guide(self) -> str:
        """See `Language.guide`."""
        return Path(__file__).with_name("guides").joinpath("cpp.md").read_text()


def _cpu_flags() -> str:
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())
