"""The compilers and ninja: where everything finds the same ones."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from kernelwright.errors import MachineError

USUAL = Path("/usr/local")
"""Where NVIDIA's toolkit installs itself."""


def compiler() -> list[str]:
    """The C++ compiler's command: `$CXX`, which may have several words, or `c++`.

    Raises:
        MachineError: there is none.
    """
    try:
        command = shlex.split(os.environ.get("CXX", "")) or ["c++"]
    except ValueError as error:
        raise MachineError(f"CXX is no command: {error}", remedy="set CXX to a C++ compiler, or unset it") from error
    found = shutil.which(command[0])
    if found is None:
        remedy = "install g++ (Debian, Ubuntu: apt-get install g++), or set CXX"
        raise MachineError(f"there is no C++ compiler {command[0]!r}", remedy=remedy)
    return [found, *command[1:]]


def search_path() -> str:
    """PATH with the folder of Python in front: ninja comes with the virtual environment, which may not be active."""
    return os.pathsep.join(filter(None, (str(Path(sys.executable).parent), os.environ.get("PATH", ""))))


def ninja() -> str:
    """The ninja that runs builds: beside Python, as pip installs it, or on PATH.

    Raises:
        MachineError: there is none.
    """
    found = shutil.which("ninja", path=search_path())
    if found is None:
        raise MachineError("there is no ninja to run builds", remedy="pip install ninja")
    return found


def cuda_home() -> Path:
    """The folder of the CUDA toolkit that nvcc is in: `$CUDA_HOME`, `$CUDA_PATH`, that of the nvcc on PATH, or the
    newest below `USUAL`. A script named nvcc that starts one elsewhere is none.

    Raises:
        MachineError: there is none.
    """
    named = [Path(os.environ[name]) for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    found = shutil.which("nvcc")
    on_path = [Path(found).resolve().parents[1]] if found else []
    usual = [USUAL / "cuda", *sorted(USUAL.glob("cuda-*"), key=_release, reverse=True)]
    for folder in (*named, *on_path, *usual):
        if (folder / "bin" / "nvcc").exists() and (folder / "include" / "cuda_runtime.h").exists():
            return folder
    remedy = "install NVIDIA's CUDA toolkit, of the release that torch was built for, or set CUDA_HOME to its folder"
    raise MachineError("there is no nvcc to build CUDA C++", remedy=remedy)


def _release(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in folder.name.removeprefix("cuda-").split(".") if part.isdigit())
