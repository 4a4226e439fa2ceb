"""The snippets of the Triton documents, where Triton is installed: right when interpreted, and compiled for an H100."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import triton_snippets

from kernelwright.languages import triton_compile

pytest.importorskip("triton")


@pytest.mark.slow
def test_all_snippets_compute_what_they_say(tmp_path: Path) -> None:
    command = [sys.executable, triton_snippets.__file__, str(tmp_path)]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {}


@pytest.mark.slow
def test_all_snippets_compile_and_spill_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    snippets = triton_snippets.module(tmp_path)
    for name, _, arguments, constants, _ in triton_snippets.launches(torch.float16):
        kernel = triton_compile.compile_for(90, getattr(snippets, name).fn, arguments, constants)
        assert triton_compile.resources(kernel)["spilled_bytes"] == 0, name
