"""Everything that tests keep goes to a folder of its own, never to the user's; processes of pytest-xdist share one."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from kernelwright.targets.cpu import Cpu

if "PYTEST_XDIST_WORKER" in os.environ:
    _home = os.environ["KERNELWRIGHT_HOME"]  # of the process that started this one
else:
    _home = os.environ["KERNELWRIGHT_HOME"] = tempfile.mkdtemp(prefix="kernelwright-tests-")
    atexit.register(shutil.rmtree, _home, ignore_errors=True)

PRECOMPILE = "import sys; from kernelwright.languages.headers import prepare; prepare(sys.argv[1])"


@pytest.fixture(scope="session")
def cpu() -> Cpu:
    """This machine, and in `shared_home` what its judges need, made once for all processes: the ceilings, measured
    however busy it is, and the headers that builds share."""
    from kernelwright.home import keep
    from kernelwright.judge.judge import READY
    from kernelwright.languages.cpp import Cpp
    from kernelwright.targets.cpu import Cpu

    cpu = Cpu()
    with FileLock(Path(_home, "judges.lock")):
        keep(Path(_home, f"ceilings-{cpu.info().key}.json"), cpu.ceilings().model_dump_json(), "the ceilings")
        headers = Cpp().shared()
        if not (headers / READY).exists():  # judges of few candidates end before theirs are made
            subprocess.run([sys.executable, "-c", PRECOMPILE, str(headers)], check=True)
            (headers / READY).touch()
    return cpu


@pytest.fixture(scope="session")
def shared_home(cpu: Cpu) -> Path:
    """The home of all tests that run the real judge and set none of their own: what it measures, precompiles and
    caches is there for the next."""
    return Path(_home)
