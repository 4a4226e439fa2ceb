from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kernelwright.knowledge import Library

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path / "home"))


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    return tmp_path / "shipped"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own"


@pytest.fixture
def library(shipped: Path, own: Path) -> Library:
    return Library([shipped, own])


@pytest.fixture
def write(shipped: Path) -> Write:
    """Writes a document below a folder; returns its path."""

    def write(name: str, text: str = "Some text.", *, folder: Path = shipped, **front: str) -> Path:
        path = folder / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {"title": name, "kind": "guidance", **front}
        head = "".join(f"{key}: {value}\n" for key, value in facts.items())
        path.write_text(f"---\n{head}---\n\n{text}\n")
        return path

    return write
