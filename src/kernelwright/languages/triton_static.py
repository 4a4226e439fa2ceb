"""What Triton kernels that are interpreted would take of GPUs that are not there. Runs beside the candidate: torch,
Triton and the standard library only.

Where Triton interprets, it has no compiler in the same process. So what kernels were launched with is handed to another
one, which loads the candidate's module anew, and compiles them as that launch would.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

ARCHS: dict[str, tuple[int | str, int]] = {
    "sm_80": (80, 163 << 10),
    "sm_90": (90, 227 << 10),
    "sm_100": (100, 227 << 10),
    "gfx942": ("gfx942", 64 << 10),
}
"""Ampere, Hopper, Blackwell and AMD's CDNA 3: what `compile_for` is told, and bytes of shared memory that one block may
have there, for which the compiler does not ask."""
_LIMIT_S = 120.0
_WORDS = 300


def described(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """A launch as JSON can say it: of tensors the dtype, numbers as they are; None where it has anything else."""
    try:
        return {"args": [_told(value) for value in args], "kwargs": {name: _told(kwargs[name]) for name in kwargs}}
    except TypeError:
        return None


def compiled(source: str, launches: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """For each of `ARCHS` and each kernel what a block takes of it, as `triton_compile.resources`, or the
    `problem`; nothing where that cannot be found out, which is no error.

    Args:
        source: the candidate's.
        launches: what each kernel was launched with, by its function's name; see `described`.
    """
    program = (
        f"import sys; sys.path[:] = {sys.path!r}; from kernelwright.languages import triton_static as one; one.main()"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    told = json.dumps({"source": source, "launches": launches})
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", program],
            input=told, capture_output=True, text=True, timeout=_LIMIT_S, env=environment, check=True,
        )  # fmt: skip
        found: dict[str, dict[str, dict[str, Any]]] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return {}
    return found


def main() -> None:
    """The other process: reads what `compiled` tells it, and prints what it gives."""
    from kernelwright.languages.triton_compile import compile_for, resources

    told = json.loads(sys.stdin.read())
    namespace: dict[str, Any] = {"__name__": "candidate"}
    _remember(told["source"])
    exec(compile(told["source"], "candidate.py", "exec", dont_inherit=True), namespace)  # noqa: S102 - in the sandbox
    functions = {function.__name__: function for function in map(_function, namespace.values()) if function is not None}
    found: dict[str, dict[str, Any]] = {name: {} for name in ARCHS}
    for name, launch in told["launches"].items():
        if name not in functions:  # it is made in a function
            continue
        args = tuple(map(_meant, launch["args"]))
        kwargs = {key: _meant(value) for key, value in launch["kwargs"].items()}
        for gpu, (arch, most) in ARCHS.items():
            try:
                facts: dict[str, Any] = dict(resources(compile_for(arch, functions[name], args, kwargs)))
                if facts["shared_bytes"] > most:
                    facts["problem"] = f"a block may have {most} bytes of shared memory"
            except Exception as error:  # noqa: BLE001 - whatever Triton's passes raise is what it says of the kernel
                facts = {"problem": f"{type(error).__name__}: {error}"[:_WORDS]}
            found[gpu][name] = facts
    print(json.dumps(found))


def _remember(source: str) -> None:
    """Triton reads a kernel's text from its module's file."""
    import linecache

    linecache.cache["candidate.py"] = (len(source), None, source.splitlines(keepends=True), "candidate.py")


def _function(value: Any) -> Any:
    """The Python function of a kernel, through what tunes it; None of anything else."""
    if not type(value).__module__.startswith("triton."):
        return None
    while hasattr(value, "fn"):
        value = value.fn
    return value if callable(value) and hasattr(value, "__code__") else None


def _told(value: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return {"tensor": str(value.dtype).removeprefix("torch.")}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if type(value).__name__ == "dtype" and type(value).__module__.startswith("triton."):
        return {"dtype": str(value)}
    raise TypeError


def _meant(value: Any) -> Any:
    import torch

    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return torch.empty(16, dtype=getattr(torch, value["tensor"]))
    import triton.language as tl

    return tl.dtype(value["dtype"])
