"""The judges that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from judge_bench import Bench

from kernelwright.targets.cpu import Cpu


@pytest.fixture(scope="package")
def bench(tmp_path_factory: pytest.TempPathFactory, cpu: Cpu) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("tasks"), cpu)
    yield bench
    bench.close()
