"""Builds the judge's own C++: the allocator of timed processes, their clock and the comparison of outputs."""

from __future__ import annotations

import hashlib
import secrets
import subprocess
from pathlib import Path

from kernelwright import toolchain
from kernelwright.errors import MachineError
from kernelwright.home import home

FLAGS = ("-O3", "-march=native", "-fopenmp-simd", "-shared", "-fPIC")


def library(name: str, folder: str = "") -> Path:
    """The shared library made from `name`.cpp beside this file, or in a folder there; built once a machine, in half a
    second.

    Raises:
        MachineError: there is no C++ compiler, or it fails.
    """
    source = Path(__file__).parent / folder / f"{name}.cpp"
    path = home() / "builds" / f"{name}-{hashlib.sha256(source.read_bytes() + _cpu()).hexdigest()[:12]}.so"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{secrets.token_hex(4)}")
    compiler = toolchain.compiler()
    command = [*compiler, *FLAGS, "-o", str(draft), str(source), "-ldl"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        words = built.stderr.strip().splitlines() or ["it said nothing"]
        raise MachineError(
            f"the C++ compiler fails: {words[-1]}", where=compiler[0], remedy="try it on a file of your own"
        )
    draft.replace(path)
    return path


def _cpu() -> bytes:
    """What -march=native depends on: a home may be shared by machines."""
    lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    return next((line for line in lines if line.startswith((b"flags", b"Features"))), b"")
