"""The judges that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from judge_bench import Bench

from kernelwright.targets.cpu import Cpu
from shared_zygote import SharedZygote


@pytest.fixture(scope="package")
def bench(tmp_path_factory: pytest.TempPathFactory, cpu: Cpu, shared_zygote: SharedZygote) -> Iterator[Bench]:
    with shared_zygote.lent():
        bench = Bench(tmp_path_factory.mktemp("tasks"), cpu)
        yield bench
        bench.close()
