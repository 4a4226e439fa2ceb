"""The judges that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from judge_bench import Bench


@pytest.fixture(scope="package")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("tasks"))
    yield bench
    bench.close()
