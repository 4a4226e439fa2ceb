"""Where Kernelwright keeps things: `KERNELWRIGHT_HOME`, else `~/.cache/kernelwright`."""

from __future__ import annotations

import os
from pathlib import Path

from kernelwright.errors import MachineError


def home() -> Path:
    """The folder that holds the store, the build cache and the measured ceilings; made when missing.

    Raises:
        MachineError: the folder cannot be made.
    """
    path = Path(os.environ.get("KERNELWRIGHT_HOME") or Path("~/.cache/kernelwright").expanduser()).absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"cannot make the folder: {error.strerror}",
            where=str(path),
            remedy="set KERNELWRIGHT_HOME to a writable folder",
        ) from error
    return path
