"""Fixtures of the command line's tests: a home of their own and three ways to run the program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_helpers import TASK, make_view
from typer.testing import CliRunner, Result

from kernelwright.cli import app
from kernelwright.report.view import RunView

Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "task.py").write_text(TASK)
    return tmp_path / "home"


@pytest.fixture
def invoke(home) -> Callable[..., Result]:
    """Runs a command in this process, in an empty folder and with an empty home."""
    return _run


@pytest.fixture
def judging(shared_home, tmp_path, monkeypatch) -> Callable[..., Result]:
    """Runs a command in this process on the task, with what the last one has left to start with."""
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(shared_home))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "task.py").write_text(TASK)
    return _run


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def program(shared_home, tmp_path) -> Program:
    """Runs the installed program as a user would."""

    (tmp_path / "task.py").write_text(TASK)

    def run(*arguments: object, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kernelwright.cli", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "KERNELWRIGHT_HOME": str(shared_home)},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def made_up(home) -> RunView:
    return make_view(12)
