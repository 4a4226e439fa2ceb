"""The C++ compiler and ninja: where everything finds the same ones."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from kernelwright.errors import MachineError


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
