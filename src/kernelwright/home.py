"""Where Kernelwright keeps things: `KERNELWRIGHT_HOME`, else `~/.cache/kernelwright`."""

from __future__ import annotations

import os
import tempfile
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


def keep(path: Path, text: str, what: str) -> None:
    """Writes a file that appears whole or not at all, as others read the folder meanwhile; makes the folder.

    Raises:
        MachineError: it cannot be written; names `what` it was to hold.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False, encoding="utf-8") as draft:
            draft.write(text)
        Path(draft.name).replace(path)
    except OSError as error:
        raise MachineError(
            f"cannot keep {what}: {error.strerror}",
            where=str(path),
            remedy="free some space, or set KERNELWRIGHT_HOME",
        ) from error
