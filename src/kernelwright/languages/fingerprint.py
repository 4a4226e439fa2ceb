"""What a cached build depends on, in a few characters."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version


def fingerprint(*facts: object) -> str:
    """16 hex digits that change when one of these facts does."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def said_version(command: Sequence[str]) -> str:
    """What a compiler says of its version."""
    return subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout


def version_of(package: str) -> str:
    """An installed package's version; empty where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
