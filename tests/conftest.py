"""Everything that tests keep goes to a folder of its own, never to the user's; processes of pytest-xdist share one."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tuner's tests, one long file, come first: what is left at the end runs alone."""
    items.sort(key=lambda item: item.path.parent.name != "tuner")


_PAIRS_S = 0.2
"""Seconds for pairs of times: no test asks how fast something is to the percent, and there are hundreds of verdicts."""
_POOLS = 1 << 27
"""Bytes for the inputs of timed calls, a quarter of what judges take: drawing and answering them is half of a test."""


@pytest.fixture(scope="session", autouse=True)
def first_calls_made() -> None:
    """Tests compare what torch computes in their own process too."""
    from kernelwright.judge import first_calls

    first_calls.make()


@pytest.fixture(scope="session")
def cpu() -> Iterator[Cpu]:
    """This machine. Its ceilings are measured once and kept for all judges in `shared_home`, however busy it is."""
    from kernelwright.home import keep
    from kernelwright.judge import race, timing
    from kernelwright.judge.space import HostSpace
    from kernelwright.targets.cpu import Cpu

    cpu = Cpu()
    with FileLock(Path(_home, "ceilings.lock")):
        keep(Path(_home, f"ceilings-{cpu.info().key}.json"), cpu.ceilings().model_dump_json(), "the ceilings")
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((race, "SECONDS"), (timing, "SECONDS"), (timing, "GLANCE")):
            patch.setattr(module, name, _PAIRS_S)
        patch.setattr(HostSpace, "batching", replace(HostSpace.batching, bytes=_POOLS))
        yield cpu


@pytest.fixture(scope="session")
def shared_home(cpu: Cpu) -> Path:
    """The home of all tests that run the real judge and set none of their own: what it measures, precompiles and
    caches is there for the next."""
    return Path(_home)
