"""The secret that a client must know."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from kernelwright.errors import MachineError, UsageError
from kernelwright.home import home

_SHORTEST = 16


def file(client: str) -> Path:
    """Where the token of a client of the MCP server is kept.

    Raises:
        UsageError: the name is none that a file may have.
    """
    if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", client) is None:
        raise UsageError(f"{client!r} is no name for a client", where="--client", remedy="use letters and digits")
    return home() / "tokens" / client


def read_or_make(path: Path) -> str:
    """The token in a file that only its owner can read; made when missing, so that it stays the same after a restart.

    Raises:
        UsageError: others may read the file, or it holds no token.
        MachineError: the file cannot be read or written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            return _read(path)
        token = f"kw-{secrets.token_urlsafe(24)}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{token}\n")
    except OSError as error:
        raise MachineError(
            f"cannot keep the token: {error.strerror}", where=str(path), remedy="make its folder writable"
        ) from error
    return token


def _read(path: Path) -> str:
    token = path.read_text(encoding="ascii", errors="replace").strip()
    if path.stat().st_mode & 0o077:
        raise UsageError("others may read the token", where=str(path), remedy="delete the file; a new one is made")
    if len(token) < _SHORTEST or not token.isascii() or not token.isprintable():
        raise UsageError("the file holds no token", where=str(path), remedy="delete the file; a new one is made")
    return token
