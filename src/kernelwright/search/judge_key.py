"""Which judge gave a verdict."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path


def judge_key() -> str:
    """16 hex digits that change with the code a verdict stands on, so that no verdict of a weaker judge is ever
    reused."""
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256(f"{version('kernelwright')} {version('torch')}".encode())
    for room in ("judge", "languages", "targets", "tasks"):
        for path in sorted([*(package / room).rglob("*.py"), *(package / room).rglob("*.cpp")]):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
