"""The judge's threads never wait for each other, whatever is moved and however few cores there are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

WIDE = dedent("""
    import numpy as np, os
    from kernelwright.judge import memory, numerics

    dtype, wide = {dtypes}
    exact = np.ones(1 << 20, wide)
    data = exact.astype(dtype)

    def fetch(start, stop):  # as an output of a worker is fetched, from this process itself
        part = memory.scratch((stop - start) * data.itemsize)
        memory.read(os.getpid(), [data.ctypes.data + start * data.itemsize], part.nbytes, part)
        return part[0].view(dtype)

    found = numerics.errors(fetch, dtype, exact, numerics.scale(exact, dtype))
    assert (found.max, found.non_finite) == (0.0, -1)
    """)
ONE_CORE = dedent("""
    import asyncio, os
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    from kernelwright.judge.judge import Judge
    from kernelwright.proposers.base import Candidate
    from kernelwright.targets.cpu import Cpu
    from kernelwright.tasks import Task

    async def main():
        async with Judge(Task.load({path!r}), Cpu()) as judge:
            return await judge.evaluate(Candidate(source={source!r}, language="cpp"))

    verdict = asyncio.run(main())
    assert verdict.reason == "no_kernel", verdict.message
    """)
MEAN = dedent("""
    import torch
    from torch import nn

    class Model(nn.Module):
        def forward(self, x):
            return x.mean(-1)

    def get_inputs():
        return [torch.randn(1024, 512)]

    def get_init_inputs():
        return []
    """)


def run(code: str, seconds: float) -> None:
    """In a process of its own: threads that wait for ever would keep this one from ending."""
    done = subprocess.run([sys.executable, "-c", code], timeout=seconds, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "dtypes", [("float64", "float64"), ("complex64", "complex128"), ("complex128", "complex128")], ids=lambda it: it[0]
)
def test_parts_of_wide_elements_are_fetched_in_the_thread_that_compares_them(dtypes: tuple[str, str]) -> None:
    run(WIDE.format(dtypes=dtypes), 60)


def test_one_core_is_enough_for_inputs_of_any_size(tmp_path: Path) -> None:
    path = tmp_path / "mean.py"
    path.write_text(MEAN)
    candidate = MEAN.split("def get_inputs", maxsplit=1)[0].replace("class Model", "class ModelNew")

    run(ONE_CORE.format(path=str(path), source=candidate), 180)
