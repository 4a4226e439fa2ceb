"""Tests that need a CUDA device; they are left out where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gpu_corpus import Arena

from kernelwright.errors import MachineError
from kernelwright.targets.cuda_facts import read_facts


@pytest.fixture(scope="session")
def arena() -> Iterator[Arena]:
    """Judges on the first GPU."""
    try:
        read_facts()
    except MachineError as error:
        pytest.skip(str(error))
    arena = Arena()
    yield arena
    arena.close()
