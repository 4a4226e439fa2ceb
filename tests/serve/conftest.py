from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def measured(home: Path, shared_home: Path) -> Path:
    """That home, where this machine has been measured before."""
    home.mkdir()
    for ceilings in shared_home.glob("ceilings-*.json"):
        shutil.copy(ceilings, home)
    return home
