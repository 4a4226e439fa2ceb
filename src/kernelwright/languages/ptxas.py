"""Reads what `ptxas -v` says of kernels. Standard library only."""

from __future__ import annotations

import re
import subprocess

_KERNEL = re.compile(r"Compiling entry function '([^']+)'")
_REGISTERS = re.compile(r"Used (\d+) registers")
_SPILLS = re.compile(r"(\d+) bytes spill stores")
_SHARED = re.compile(r"(\d+) bytes smem")


def read(said: str) -> dict[str, dict[str, int]]:
    """By the name that each kernel has in the assembly: `registers` of each thread, `spilled_bytes` of one, and
    `shared_bytes` of a block, without what a launch asks for beside it."""
    pieces = _KERNEL.split(said)
    return {name: _facts(text) for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}


def _facts(text: str) -> dict[str, int]:
    registers, shared = _REGISTERS.search(text), _SHARED.search(text)
    return {
        **({"registers": int(registers[1])} if registers else {}),
        # Of functions that it calls and that were not inlined as well.
        "spilled_bytes": sum(int(count) for count in _SPILLS.findall(text)),
        "shared_bytes": int(shared[1]) if shared else 0,
    }


def readable(names: list[str]) -> list[str]:
    """Names as they are in the source, without parameters, as binutils' c++filt has them; unchanged without it."""
    try:
        said = subprocess.run(["c++filt", "-p"], input="\n".join(names), capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return names
    return said.stdout.splitlines()
