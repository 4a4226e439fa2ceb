"""What the catalogue writes in Triton is right where it is compiled and run on a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULES = Path(__file__).resolve().parents[1] / "catalogue" / "triton_modules.py"
PROCESSES = min(8, os.cpu_count() or 1)
"""Most of the time goes into compiling."""


@pytest.mark.gpu
@pytest.mark.timeout(280)
def test_all_kinds_of_kernels_agree_with_the_reference(tmp_path: Path) -> None:
    commands = [[sys.executable, MODULES, tmp_path, str(first), str(PROCESSES)] for first in range(PROCESSES)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    wrong: dict[str, str] = {}
    for process in running:
        output, _ = process.communicate()
        assert process.returncode == 0
        wrong |= json.loads(output.splitlines()[-1])

    assert wrong == {}
