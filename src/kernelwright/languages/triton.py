"""Triton inside a Python module, compiled when a kernel is first called; the trusted half."""

from __future__ import annotations

import ast
import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kernelwright.errors import MachineError
from kernelwright.languages.base import BuildProblem, Language, SourceReport
from kernelwright.languages.fingerprint import fingerprint
from kernelwright.languages.source import dotted, read_source

_SHOWN = re.compile(r"\bat \d+:\d+:\n((?:.*\n)*?)\s*\^\n?(.*)")
"""How Triton shows where a kernel cannot be compiled: the kernel's text up to there, and the reason."""
_COMPILERS = ("CompilationError", "CompileTimeAssertionFailure", "UnsupportedLanguageConstruct", "OutOfResources",
              "PTXASError", "InterpreterError", "NoTritonConfigsError")  # fmt: skip
_KEPT = 4000


class Triton(Language):
    """Kernels decorated with `@triton.jit`. On a CUDA device they are compiled for it; on the CPU Triton interprets
    them, which is slow."""

    name = "triton"
    worker_module = "kernelwright.languages.triton_worker"
    imports = ("triton", "kernelwright.languages.triton_ready")
    runs_on = ("cpu", "gpu")

    def inspect(self, source: str) -> SourceReport:
        """See `Language.inspect`. Kernels are the functions that Triton's decorators make kernels of."""
        return read_source(source, jitted)

    def explain(self, source: str, output: str) -> BuildProblem:
        """See `Language.explain`. Understands Triton's own errors, with the line of the kernel that they show."""
        if not any(name in output for name in _COMPILERS):
            return BuildProblem("")
        said = next((line for line in output.splitlines() if any(name in line for name in _COMPILERS)), "")
        shown = _SHOWN.search(output)
        if shown is None:
            return BuildProblem(said.strip() or "Triton cannot compile it", output=output[-_KEPT:])
        text = shown[1].rstrip().splitlines()[-1] if shown[1].strip() else ""
        lines = source.splitlines()
        line = next((number for number, each in enumerate(lines, 1) if text and each.strip() == text.strip()), 0)
        return BuildProblem(shown[2].strip() or said.strip(), line, text.strip(), output[-_KEPT:])

    def environment(self, *, on_gpu: bool) -> dict[str, str]:
        """See `Language.environment`: torch imports Triton, which has to know by then that it is to interpret."""
        return {} if on_gpu else {"TRITON_INTERPRET": "1"}

    def interpreted(self, *, on_gpu: bool) -> bool:
        """See `Language.interpreted`."""
        return not on_gpu

    def compiler_key(self) -> str:
        """See `Language.compiler_key`.

        Raises:
            MachineError: Triton is not installed.
        """
        try:
            facts = version("triton"), version("torch"), platform.python_version(), platform.machine()
        except PackageNotFoundError as error:
            raise MachineError(
                "Triton is not installed",
                remedy="pip install --no-deps triton, in the version that this torch was made for (2.13: 3.7.1)",
            ) from error
        return fingerprint(*facts)

    def guide(self) -> str:
        """See `Language.guide`."""
        return Path(__file__).with_name("guides").joinpath("triton.md").read_text()


def jitted(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Every function with `@triton.jit` among its decorators, under whatever name Triton was imported."""
    names = {"triton.jit"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {f"{alias.asname}.jit" for alias in node.names if alias.name == "triton" and alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module in ("triton", "triton.runtime.jit"):
            names |= {alias.asname or alias.name for alias in node.names if alias.name == "jit"}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            decorators = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
            if any(dotted(each) in names for each in decorators):
                yield node
