from __future__ import annotations

import math

import pytest

from kernelwright.targets import Ceilings, attainable_flops, bandwidth_at, floor_us
from kernelwright.tasks import Argument, CaseInfo, TensorInfo

CEILINGS = Ceilings(bandwidth=((1 << 20, 8e10), (1 << 24, 2e10)), flops={"float32": 1e11, "float64": 5e10})


def case(nbytes=0, flops=0, dtype="float32", outputs="float32"):
    tensor = TensorInfo(shape=(4,), dtype=dtype, strides=(1,))
    output = TensorInfo(shape=(4,), dtype=outputs, strides=(1,))
    return CaseInfo(
        name="c", role="tune", dtype=None, inputs=(Argument(tensor=tensor), Argument(value=3)), outputs=(output,),
        flops=flops, bytes=nbytes,
    )  # fmt: skip


def test_a_memory_bound_floor_is_bytes_over_bandwidth():
    assert floor_us(case(nbytes=1 << 24), CEILINGS) == pytest.approx((1 << 24) / 2e10 * 1e6)


def test_a_compute_bound_floor_is_flops_over_the_rate_of_the_dtype():
    assert floor_us(case(nbytes=4, flops=10**9), CEILINGS) == pytest.approx(1e4)
    assert floor_us(case(nbytes=4, flops=10**9, dtype="float64", outputs="float64"), CEILINGS) == pytest.approx(2e4)
    assert floor_us(case(nbytes=4, flops=10**9, dtype="float64"), CEILINGS) == pytest.approx(1e4)


def test_a_dtype_that_was_not_measured_sets_no_floor_by_arithmetic():
    assert floor_us(case(nbytes=8, flops=10**12, dtype="float8_e4m3fn"), CEILINGS) == pytest.approx(8 / 8e10 * 1e6)


def test_the_working_set_decides_the_bandwidth():
    small = case(nbytes=1 << 20)
    assert floor_us(small, CEILINGS, working_set=1 << 24) == pytest.approx(4 * floor_us(small, CEILINGS))
    assert floor_us(small, CEILINGS, working_set=1) == floor_us(small, CEILINGS)


def test_bandwidth_is_interpolated_between_sizes_and_constant_beyond():
    assert bandwidth_at(1, CEILINGS) == 8e10
    assert bandwidth_at(1 << 22, CEILINGS) == pytest.approx(4e10)
    assert bandwidth_at(1 << 40, CEILINGS) == 2e10
    assert bandwidth_at(math.inf, CEILINGS) == 2e10


def test_nothing_takes_no_time():
    assert floor_us(case(), CEILINGS) == 0


def test_the_roof_rises_to_the_ridge_and_is_flat_after_it():
    assert attainable_flops(1, CEILINGS, "float32", 1 << 24) == pytest.approx(2e10)
    assert attainable_flops(5, CEILINGS, "float32", 1 << 24) == pytest.approx(1e11)
    assert attainable_flops(50, CEILINGS, "float32", 1 << 24) == pytest.approx(1e11)
