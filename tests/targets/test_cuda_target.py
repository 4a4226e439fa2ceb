"""The GPU as a target: what the probe's lines mean, and what is said where there is no GPU."""

from __future__ import annotations

import pytest

from kernelwright.errors import MachineError
from kernelwright.targets import Ceilings, cuda_facts
from kernelwright.targets.cuda import Cuda
from kernelwright.targets.cuda_ceilings import highest, parse

LINES = """copy 1024 2e9
copy 4096 8e9
read 1024 1e9
read 4096 9e9
read 1024 1.5e9
write 1024 3e9
write 4096 7e9
flops float16 7e14
flops float16 8e14
"""


def test_the_best_of_each_rate_counts_and_one_direction_is_no_slower_than_both():
    ceilings = parse(LINES)
    assert ceilings.bandwidth["copy"] == ((1024, 2e9), (4096, 8e9))
    assert ceilings.bandwidth["read"] == ((1024, 2e9), (4096, 9e9))
    assert ceilings.bandwidth["write"] == ((1024, 3e9), (4096, 8e9))
    assert ceilings.flops == {"float16": 8e14}


def test_of_two_measurements_the_higher_of_each_rate_counts():
    first, second = parse(LINES), parse(LINES.replace("copy 1024 2e9", "copy 1024 5e9").replace("8e14", "6e14"))
    both = highest(first, second)
    assert isinstance(both, Ceilings)
    assert both.bandwidth["copy"] == ((1024, 5e9), (4096, 8e9)) and both.flops == {"float16": 8e14}


def test_without_a_driver_it_says_what_to_do(monkeypatch):
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(cuda_facts.ctypes, "CDLL", missing)
    with pytest.raises(MachineError, match="no CUDA driver") as error:
        Cuda().info()
    assert "--target cpu" in error.value.remedy


@pytest.mark.gpu
def test_ceilings_of_a_gpu_are_plausible():
    target = Cuda()
    info, ceilings = target.info(), target.ceilings()
    assert info.simd.startswith("sm_") and info.multiprocessors > 0 and info.memory_bytes > 1 << 30
    rates = [rate for curve in ceilings.bandwidth.values() for _, rate in curve]
    assert all(1e8 < rate < 1e14 for rate in rates)
    assert ceilings.bandwidth["copy"][-1][1] > 1e10 and ceilings.flops["float16"] > ceilings.flops["float64"] / 64
