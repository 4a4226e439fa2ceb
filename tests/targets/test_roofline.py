from __future__ import annotations

import math

import pytest

from kernelwright.targets import Ceilings, bandwidth_at, floor_us, written_share
from kernelwright.tasks import Argument, CaseInfo, TensorInfo

CEILINGS = Ceilings(
    bandwidth={
        "read": ((1 << 20, 8e10), (1 << 24, 2e10)),
        "write": ((1 << 20, 2e10), (1 << 24, 1e10)),
        "copy": ((1 << 20, 4e10), (1 << 24, 16e9)),
    },
    flops={"float32": 1e11, "float64": 5e10},
)


def case(nbytes=0, written=0, flops=0, dtype="float32", outputs="float32"):
    tensor = TensorInfo(shape=(4,), dtype=dtype, strides=(1,))
    output = TensorInfo(shape=(4,), dtype=outputs, strides=(1,))
    return CaseInfo(
        name="c", role="tune", dtype=None, inputs=(Argument(tensor=tensor), Argument(value=3)), outputs=(output,),
        flops=flops, read_bytes=nbytes, written_bytes=written,
    )  # fmt: skip


def test_a_memory_bound_floor_is_bytes_over_bandwidth():
    assert floor_us(case(nbytes=1 << 24), CEILINGS) == pytest.approx((1 << 24) / 2e10 * 1e6)


def test_a_compute_bound_floor_is_flops_over_the_rate_of_the_dtype():
    assert floor_us(case(nbytes=4, flops=10**9), CEILINGS) == pytest.approx(1e4)
    assert floor_us(case(nbytes=4, flops=10**9, dtype="float64", outputs="float64"), CEILINGS) == pytest.approx(2e4)
    assert floor_us(case(nbytes=4, flops=10**9, dtype="float64"), CEILINGS) == pytest.approx(1e4)


def test_a_dtype_that_was_not_measured_sets_no_floor_by_arithmetic():
    assert floor_us(case(nbytes=8, flops=10**12, dtype="float8_e4m3fn"), CEILINGS) == pytest.approx(8 / 8e10 * 1e6)


def test_bandwidth_is_interpolated_between_sizes_and_constant_beyond():
    assert bandwidth_at(1, 0, CEILINGS) == 8e10
    assert bandwidth_at(1 << 22, 0, CEILINGS) == pytest.approx(4e10)
    assert bandwidth_at(1 << 40, 0, CEILINGS) == 2e10
    assert bandwidth_at(math.inf, 0, CEILINGS) == 2e10


def test_what_is_read_and_written_is_as_fast_as_a_copy_and_the_rest_as_a_read_or_write():
    size = 1 << 24
    assert bandwidth_at(size, 0.5, CEILINGS) == pytest.approx(16e9)
    assert bandwidth_at(size, 1, CEILINGS) == pytest.approx(1e10)
    assert 1 / bandwidth_at(size, 0.25, CEILINGS) == pytest.approx(0.5 / 16e9 + 0.5 / 2e10)
    assert 1 / bandwidth_at(size, 0.75, CEILINGS) == pytest.approx(0.5 / 16e9 + 0.5 / 1e10)
    task = case(nbytes=size // 2, written=size // 2)
    assert written_share(task) == 0.5
    assert floor_us(task, CEILINGS) == pytest.approx(size / 16e9 * 1e6)


def test_nothing_takes_no_time():
    assert floor_us(case(), CEILINGS) == 0
