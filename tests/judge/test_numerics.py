"""The gap: what honest float32 arithmetic leaves is always admitted, what fewer bits leave never is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelwright.judge import numerics
from kernelwright.tasks import Tolerance

Op = Callable[..., torch.Tensor]


def tf32(x: torch.Tensor) -> torch.Tensor:
    """Rounded to ten bits of mantissa, as tensor cores take their operands."""
    bits = x.contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


LOWER = {"tf32": tf32, "fp16": lambda x: x.half().float(), "bf16": lambda x: x.bfloat16().float()}


def matmul_in_order(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(a.shape[0], b.shape[1])
    for k in range(a.shape[1]):
        total += a[:, k : k + 1] * b[k : k + 1]
    return total


def matmul_in_blocks(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return sum(x @ y for x, y in zip(a.split(37, 1), b.split(37, 0), strict=True))  # type: ignore[return-value]


def sum_in_order(x: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(x.shape[0])
    for column in x.T:
        total += column
    return total


def softmax_unfused(x: torch.Tensor) -> torch.Tensor:
    e = (x - x.amax(-1, keepdim=True)).exp()
    return e * (1 / e.sum(-1, keepdim=True))


def softmax_in_order(x: torch.Tensor) -> torch.Tensor:
    e = (x - x.amax(-1, keepdim=True)).exp()
    return e / sum_in_order(e)[:, None]


def sparse_rows() -> list[torch.Tensor]:
    x = torch.randn(40, 1000)
    return [x * (torch.rand_like(x) > 0.9)]


def norm_one_pass(x: torch.Tensor) -> torch.Tensor:
    mean = x.mean(-1, keepdim=True)
    return (x - mean) / ((x * x).mean(-1, keepdim=True) - mean * mean + 1e-5).sqrt()


def group_norm_by_hand(x: torch.Tensor) -> torch.Tensor:
    groups = x.view(x.shape[0], 4, -1)
    variance, mean = torch.var_mean(groups, -1, correction=0, keepdim=True)
    return ((groups - mean) * (variance + 1e-5).rsqrt()).view_as(x) * 1.3 + 0.2


def norm_relu(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return torch.relu((x - 1.0) * scale - 1.5 * scale)


def norm_relu_folded(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return torch.relu(x * scale - 2.5 * scale)


def sparse_images() -> list[torch.Tensor]:
    x = torch.randn(2, 8, 40, 40)
    return [x * (torch.rand_like(x) > 0.9)]


KINDS: dict[
    str, tuple[Op, list[Op], Callable[[], list[torch.Tensor]], float]
] = {  # a negative number of terms: summed without products
    "matmul 64": (
        torch.matmul,
        [matmul_in_order, matmul_in_blocks],
        lambda: [torch.randn(90, 64), torch.randn(64, 50)],
        64,
    ),
    "matmul 4096": (
        torch.matmul,
        [matmul_in_order, matmul_in_blocks],
        lambda: [torch.randn(60, 4096), torch.randn(4096, 50)],
        4096,
    ),
    "row sum": (lambda x: x.sum(-1), [sum_in_order], lambda: [torch.randn(64, 5000)], 5000),
    "softmax": (lambda x: torch.softmax(x, -1), [softmax_unfused], lambda: [torch.randn(40, 1000)], -1000),
    "softmax, sparse": (
        lambda x: torch.softmax(x, -1),
        [softmax_unfused, softmax_in_order],
        sparse_rows,
        -1000,
    ),
    "layer norm": (
        lambda x: torch.nn.functional.layer_norm(x, x.shape[-1:]),
        [norm_one_pass],
        lambda: [torch.randn(40, 900)],
        1,
    ),
    "group norm, sparse": (
        lambda x: torch.nn.functional.group_norm(x, 4) * 1.3 + 0.2,
        [group_norm_by_hand],
        sparse_images,
        1,
    ),
    "folded norm and relu, mostly zeros": (
        norm_relu,
        [norm_relu_folded],
        lambda: [torch.randn(400, 48), torch.rand(400, 1) + 0.5],
        1,
    ),
    "gelu": (
        torch.nn.functional.gelu,
        [lambda x: x * 0.5 * (1 + torch.erf(x * 0.70710678))],
        lambda: [torch.randn(50, 700)],
        1,
    ),
    "product of three": (
        lambda x, y, z: x * y * z,
        [lambda x, y, z: x * (y * z)],
        lambda: [torch.randn(99, 99) for _ in "xyz"],
        1,
    ),
}


class Judged(NamedTuple):
    admitted: bool
    why: str


def judged(got: torch.Tensor, op: Op, inputs: list[torch.Tensor], terms: float) -> Judged:
    exact = op(*[x.double() for x in inputs]).numpy()
    own = op(*inputs).numpy()
    magnitude = numerics.scale(exact, "float32")

    def errors(values: np.ndarray) -> numerics.Errors:
        flat = np.ascontiguousarray(values).reshape(-1)
        return numerics.errors(lambda start, stop: flat[start:stop], "float32", exact, magnitude)

    bound = numerics.bound(errors(own), "float32", max(terms, 1), Tolerance(), max(-terms, 1))
    found = errors(got.numpy())
    return Judged(bound.admits(found), f"{found} where {bound} is allowed")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_other_orders_of_the_same_arithmetic_are_admitted(kind: str, seed: int) -> None:
    op, variants, draw, terms = KINDS[kind]
    torch.manual_seed(seed)
    inputs = draw()

    for variant in variants:
        found = judged(variant(*inputs), op, inputs, terms)
        assert found.admitted, found.why


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", LOWER)
@pytest.mark.parametrize("seed", range(3))
def test_fewer_bits_are_not(kind: str, bits: str, seed: int) -> None:
    op, _, draw, terms = KINDS[kind]
    torch.manual_seed(seed)
    inputs = draw()

    found = judged(op(*[LOWER[bits](x) for x in inputs]), op, inputs, terms)
    assert not found.admitted, found.why


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("exact", [np.float32, np.float64])
def test_the_quick_way_and_the_one_that_finds_the_place_agree_on_every_16_bit_value(dtype: str, exact: type) -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        values = numerics.widen(bits.view(np.float16) if dtype == "float16" else bits, dtype)
    known = np.isfinite(values) & (np.abs(values) < 1e38)
    stored = bits[known].view(np.float16) if dtype == "float16" else bits[known]
    want = (values[known] * 1.01).astype(exact)

    def errors(locate: bool) -> numerics.Errors:
        return numerics.errors(lambda a, b: stored[a:b], dtype, want, np.full((1,), 1e-3), locate=locate)

    quick, slow = errors(False), errors(True)
    assert (quick.worst, slow.worst >= 0) == (-1, True)
    assert quick.max == slow.max == pytest.approx(0.0099, rel=1e-2)
    assert quick.mean == pytest.approx(slow.mean, rel=1e-9)


def test_complex_values_are_compared_in_both_parts() -> None:
    exact = np.fft.rfft(np.random.default_rng(0).standard_normal((20, 128)))
    right, wrong = exact.astype(np.complex64), exact.astype(np.complex64)
    wrong.imag[3, 7] += 0.01
    magnitude = numerics.scale(exact, "complex64")

    bound = numerics.bound(numerics.Errors(0.0, 0.0, 0), "complex64", 1, Tolerance())

    for got, admitted in ((right, True), (wrong, False)):
        flat = got.reshape(-1)
        found = numerics.errors(lambda start, stop, flat=flat: flat[start:stop], "complex64", exact, magnitude)
        assert bound.admits(found) is admitted


def test_sums_of_16_bit_values_are_expected_in_float32() -> None:
    few, many = (numerics.bound(numerics.Errors(0.0, 0.0, 0), "bfloat16", k, Tolerance(), k) for k in (1, 4096))

    assert many.max < 1.1 * few.max


def test_tf32_is_admitted_where_the_user_allows_it() -> None:
    bound = numerics.bound(numerics.Errors(1e-7, 1e-8, 0), "float32", 64, Tolerance(allow_tf32=True))

    assert bound.max > 2.0**-10


def test_a_tolerance_of_the_users_replaces_the_bound() -> None:
    bound = numerics.bound(numerics.Errors(1e-7, 1e-8, 0), "float32", 64, Tolerance(relative=0.5))

    assert (bound.max, bound.mean) == (0.5, 0.5)


@given(st.lists(st.floats(width=32), min_size=1, max_size=200), st.randoms())
@settings(deadline=None)
def test_errors_are_zero_for_the_same_values_whatever_they_are(values: list[float], _: object) -> None:
    exact = np.array(values, np.float64)

    found = numerics.errors(
        lambda start, stop: exact[start:stop].astype(np.float32), "float32", exact, numerics.scale(exact, "float32")
    )

    assert found.max == 0
    assert found.non_finite == -1


@given(st.integers(1, 300_000), st.data())
@settings(deadline=None, max_examples=30)
def test_the_worst_element_is_found_wherever_it_is(size: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, size - 1))
    exact = np.ones(size)
    got = exact.astype(np.float32)
    got[place] = 1.5

    found = numerics.errors(
        lambda start, stop: got[start:stop], "float32", exact, numerics.scale(exact, "float32"), locate=True
    )

    assert found.worst == place
    assert found.max == pytest.approx(0.25, rel=1e-2)


@given(st.integers(1, 9), st.integers(numerics.ROW, 300), st.integers(1, 200), st.integers(0, 1 << 30))
@settings(deadline=None)
def test_each_element_is_judged_by_its_own_row_however_long_rows_are(
    rows: int, width: int, together: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    exact = generator.standard_normal((rows, width)) * 10.0 ** generator.integers(-6, 7, (rows, 1))
    got = (exact * (1 + 1e-3 * generator.standard_normal(exact.shape))).astype(np.float32)
    magnitude = numerics.scale(exact, "float32")
    want = np.abs(got - exact) / (np.abs(exact) + magnitude)
    flat = got.reshape(-1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numerics, "_CHUNK", together)
        each = numerics.each(lambda start, stop: flat[start:stop], "float32", exact, magnitude)
        found = [
            numerics.errors(lambda start, stop: flat[start:stop], "float32", exact, magnitude, locate=locate)
            for locate in (False, True)
        ]

    assert np.allclose(each, want, rtol=1e-6)
    for errors in found:
        assert np.allclose([errors.max, errors.mean], [want.max(), want.mean()], rtol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_values_are_told_from_wrong_ones(bad: float) -> None:
    exact = np.array([1.0, np.inf, np.nan, 4.0])
    right, wrong = exact.astype(np.float32), exact.astype(np.float32)
    wrong[3] = bad
    magnitude = numerics.scale(exact, "float32")

    assert numerics.errors(lambda a, b: right[a:b], "float32", exact, magnitude).max == 0
    assert numerics.errors(lambda a, b: wrong[a:b], "float32", exact, magnitude).non_finite == 3
    finite = np.array([1.0, 0.0, 0.0, 4.0], np.float32)
    assert numerics.errors(lambda a, b: finite[a:b], "float32", exact, magnitude).max == np.inf


def test_what_magnifies_rounding_does_not_let_16_bits_pass() -> None:
    """A norm of millions of elements in one chain is far off in the reference itself (KernelBench, level 1, 37)."""
    own = numerics.Errors(5e-5, 3e-5, 0)
    bound = numerics.bound(own, "float32", 4e6, Tolerance(), 4e6)

    assert bound.admits(numerics.Errors(2e-4, 9e-5, 0))
    assert not bound.admits(numerics.Errors(2e-3, 6e-4, 0))


def test_whole_sums_of_millions_are_allowed_no_16_bits() -> None:
    bound = numerics.bound(numerics.Errors(1e-7, 3e-8, 0), "float32", 4e6, Tolerance(), 4e6)

    assert bound.admits(numerics.Errors(300 * 2.0**-24, 200 * 2.0**-24, 0))
    assert not bound.admits(numerics.Errors(1200 * 2.0**-24, 1138 * 2.0**-24, 0))


@pytest.mark.parametrize("few", [40, 2560])
@pytest.mark.parametrize("calls", [1, 8, 128])
def test_the_worst_of_many_calls_is_as_far_off_as_it_is_said_to_grow(few: int, calls: int) -> None:
    """Products of three normal numbers, as gradients times weights times roundings are."""
    random = np.random.default_rng(0)
    errors = np.abs(random.standard_normal((3, 40, few * calls)).prod(axis=0))

    grown = np.median(errors.max(axis=1)) / np.median(errors[:, :few].max(axis=1))

    assert 0.7 * grown <= numerics.growth(few, few * calls) <= 1.4 * grown
    assert numerics.growth(1, 10**9) == numerics.GROWTH


def test_only_what_comes_of_the_references_error_grows() -> None:
    errors = numerics.Errors(1e-6, 1e-7, 0)

    own = numerics.bound(errors, "float32", 1.0, Tolerance())
    users = numerics.bound(errors, "float32", 1.0, Tolerance(relative=1e-3))

    assert own.max == own.multiple == pytest.approx(4e-6)
    assert own.beside_reference(2.0).max == pytest.approx(10e-6)
    assert own.beside_reference(2.0).mean == own.mean + 1e-7
    assert users.beside_reference(2.0).max == pytest.approx(1e-3 + 2e-6)


def test_one_step_between_the_smallest_numbers_of_float16_is_no_error() -> None:
    exact = np.zeros((4, 64))
    exact[2, 5] = 2.0**-24
    magnitude = numerics.scale(exact, "float16")
    bound = numerics.bound(numerics.Errors(0.0, 0.0, -1), "float16", 1.0, Tolerance())

    def errors(got: np.ndarray) -> numerics.Errors:
        flat = got.astype(np.float16).reshape(-1)
        return numerics.errors(lambda start, stop: flat[start:stop], "float16", exact, magnitude)

    two_steps = exact.copy()
    two_steps[1, 1] = 2.0**-23
    assert bound.admits(errors(np.zeros((4, 64))))
    assert not bound.admits(errors(two_steps))
