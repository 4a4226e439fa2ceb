"""How wrong an output is, and how wrong an honest kernel may be.

Errors are measured against float64, relative to the output's magnitude: |got - exact| / (|exact| + rms), where rms is
that of the element's row (its last dimension, when that has at least 32 elements; else the whole tensor), since
rounding in a sum is relative to what was summed and not to what is left after cancellation.

Allowed is what any order of summation can leave: a multiple of the reference's own error, or the √K·u bound of the sums
involved (K terms, unit roundoff u of the accumulator, which is float32 at least; Higham, *Accuracy and Stability of
Numerical Algorithms*, 2nd ed., section 4.2, taken as the statistical bound rather than the worst case), whichever is
larger. Worst element and mean are bounded apart: arithmetic in fewer bits moves the mean even where a single element of
an honest kernel may be as wrong.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kernelwright.judge import native, storage
from kernelwright.judge.memory import spread
from kernelwright.judge.tensors import UNIT_ROUNDOFF, Array, widen
from kernelwright.tasks import Tolerance

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

REFERENCE_MULTIPLE_MAX, REFERENCE_MULTIPLE_MEAN = 4.0, 3.0
"""How many times the reference's own error an honest kernel may leave: another order of summation, another exp."""
ROOT = 512.0
"""√K at most: one chain of more than 200,000 additions leaves less than its √K, and storing in 16 bits little more."""
PARTIAL_SUMS, MAGNIFIED_MAX, MAGNIFIED_MEAN = 8.0, 2.0**-12, 2.0**-15
"""Partial sums that torch adds up at least (the lanes of a vector). One chain of K additions leaves √(K / 8) times as
much, which counts where what follows magnifies it (rows added up after their mean was taken off), up to what 16 bits
leave."""
FIXED_MAX, FIXED_MEAN = 8.0, 2.0
"""Units of roundoff that elementary functions and the final rounding may leave."""
SUM_MAX, SUM_MEAN = 4.0, 1.0
"""Multiples of √K·u that a sum of K terms may leave in its worst element, and on average."""
CHAIN_MAX, CHAIN_MEAN, CHAIN = 1 / 3, 1 / 12, 1800.0
"""Multiples of K·u that one chain of at most `CHAIN` additions may leave: equal terms (what a softmax makes of zeros)
are rounded the same way each time, so that errors add up instead of cancelling. Fewer bits leave ten times as much."""
ACCUMULATOR = 2.0**-24
"""Unit roundoff in which sums are taken at least: 16 bits are for what is stored."""
TF32_ROUNDOFF = 2.0**-11
GROSS, LOST, MOVES = 0.1, 0.01, 1 / 8
"""See `gross` and `sensitive`: a share of an element and of all elements (beyond it there is no reference, as
`tasks/host_fairness.py` says too), another share of the elements, a share of the distance."""
GROWTH = 4.0
"""How many times as much the worst element of many calls may be off as that of one, at most."""
ROW = 32
_SAMPLE = 1 << 14
_CHUNK = 1 << 18
Fetch = Callable[[int, int], Array]
"""Gives the flat elements from one index up to another."""


@dataclass(frozen=True)
class Errors:
    """Relative errors of one output: worst and mean; `worst` is the flat index of the worst element or -1; `non_finite`
    the flat index of the first element that is NaN or infinite where the exact value is finite, or -1."""

    max: float
    mean: float
    worst: int
    non_finite: int = -1


@dataclass(frozen=True)
class Bound:
    """What one output may leave: `max` over its elements, `mean` over them, and the reference's own two. `multiple` is
    the part of `max` that is a multiple of the reference's own."""

    max: float
    mean: float
    reference_max: float
    reference_mean: float
    multiple: float = 0.0

    def beside_reference(self, times: float) -> Bound:
        """What is allowed where the reference's own answer stands for the exact one, and where the worst of many
        elements may be so many times as far off as that of those it was measured on."""
        top = max(self.max, times * self.multiple) + times * self.reference_max
        return replace(self, max=top, mean=self.mean + self.reference_mean)

    def admits(self, errors: Errors, times: float = 1.0) -> bool:
        """Whether errors are within so many times the bound."""
        return errors.non_finite < 0 and errors.max <= times * self.max and errors.mean <= times * self.mean


def scale(exact: Array, dtype: str) -> Float64:
    """The magnitude that errors of a `dtype` output are relative to, broadcastable to `exact`: one for each row or for
    all.

    Never below the median magnitude in the whole tensor, zeros apart: a whole row may be what cancellation left of
    larger terms (a normalised row of equal values, or the little that a ReLU let through), and rounding was relative to
    those. The median, since one huge element must not hide all others. Nor below where one step between float16's
    smallest numbers, which are equally far apart, is what `FIXED_MAX` allows.
    """
    smallest = {"float16": 2.0**-16, "float64": 1e-300}.get(dtype, 1e-36)
    if not exact.size:
        return np.full((1,) * exact.ndim, smallest)
    known = exact if finite(exact, "float64") else np.where(np.isfinite(exact), exact, 0)
    if np.iscomplexobj(known):
        known = np.abs(known)
    flat = known.reshape(-1)
    sample = flat[:: max(1, flat.size // _SAMPLE)]
    sample = sample[sample != 0]
    typical = float(np.median(np.abs(sample))) if sample.size else 0.0
    if exact.ndim and exact.shape[-1] >= ROW:
        rows = np.sqrt(np.einsum("...i,...i->...", known, known).astype(np.float64) / exact.shape[-1])[..., None]
        return np.asarray(np.maximum(rows, typical) + smallest)
    # einsum, since the threads of a BLAS would go on spinning while something is timed
    whole = float(np.sqrt(np.einsum("i,i->", flat, flat) / flat.size))
    return np.full((1,) * exact.ndim, whole + smallest)


def finite(array: Array, dtype: str) -> bool:
    """Whether no element of an array that holds this torch dtype is NaN or infinite."""
    flat = np.ascontiguousarray(array).reshape(-1)

    def part(start: int) -> bool:
        values = flat[start : start + _CHUNK]
        return bool(np.isfinite(widen(values, dtype) if dtype == "bfloat16" else values).all())

    return part(0) if flat.size <= _CHUNK else all(spread(part, range(0, flat.size, _CHUNK)))


def gross(own: Array, dtype: str, exact: Array, magnitude: Array) -> bool:
    """Whether the float64 answer is so far from the reference's `own` that it says nothing of what is right, by a
    sample: a tenth of the elements are off by a tenth, or finite ones are none in float64."""
    if not own.size:
        return False
    some = np.random.default_rng(0).integers(own.size, size=_SAMPLE) if own.size > _SAMPLE else slice(None)
    mine, want = widen(own.reshape(-1)[some], dtype), exact.reshape(-1)[some]
    known = np.isfinite(mine)
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.abs(mine - want) > GROSS * (np.abs(mine) + np.abs(want))
    return bool(
        np.mean(known & ~np.isfinite(want)) > LOST or np.mean(known & off) > GROSS or not finite(magnitude, "float64")
    )


def sensitive(own: Array, dtype: str, exact: Array, moved: Array) -> bool:
    """Whether rounding explains how far `own` is from `exact`: a little change of all inputs moves it (to `moved`)
    about as far."""
    mine, other = widen(own, dtype), widen(moved, dtype)
    known = np.isfinite(mine) & np.isfinite(other)
    if not known.any():
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.abs(other - mine)[known].mean() >= MOVES * np.abs(mine - exact)[known].mean())


def settle(own: Array, dtype: str, exact: Array) -> tuple[Array, Array | None]:
    """What outputs of torch dtype `dtype` are compared with, and where they may give the float64 answer instead.

    The reference's `own` values stand in for `exact` ones where either is not finite and they differ (it overflows,
    float64 does not): there is no error to measure, and both answers are right.
    """
    if finite(own, dtype) and finite(exact, "float64"):
        return exact, None
    own = widen(own, dtype)
    with np.errstate(invalid="ignore"):
        unlike = ~(np.isfinite(own) & np.isfinite(exact)) & ~_same(own, exact)
    return (np.where(unlike, own, exact), exact) if unlike.any() else (exact, None)


def errors(
    fetch: Fetch,
    dtype: str,
    exact: Array,
    magnitude: Float64,
    *,
    alternative: Array | None = None,
    locate: bool = False,
) -> Errors:
    """Errors of an output of torch dtype `dtype`, which `fetch` gives in parts, against `exact` (float32 or
    float64), or against `alternative` where that and `exact` cannot be subtracted; `worst` is only found, which takes
    longer, if `locate`."""
    if exact.size == 0:
        return Errors(0.0, 0.0, 0)
    flat, sizes = exact.reshape(-1), magnitude.reshape(-1)
    others = None if alternative is None else alternative.reshape(-1)
    row = exact.size // sizes.size

    def part(limits: tuple[int, int]) -> tuple[float, float, int, int]:
        start, stop = limits
        size = sizes[start // row : -(-stop // row)]
        got, want = fetch(start, stop), flat[start:stop]
        quick = None if locate else _quickly(got, dtype, want, size)
        other = None if others is None else others[start:stop]
        return (*quick, -1, -1) if quick else _part(got, dtype, want, other, size, start)

    ranges = _parts(exact.size, row)
    parts = spread(part, ranges) if len(ranges) > 1 else [part(ranges[0])]
    top = max(parts, key=lambda found: found[0])
    bad = [found[3] for found in parts if found[3] >= 0]
    return Errors(top[0], sum(found[1] for found in parts) / exact.size, top[2], min(bad) if bad else -1)


def _parts(count: int, row: int) -> list[tuple[int, int]]:
    """Ranges of flat elements that are looked at together: whole rows, or a part of one where it is long."""
    together = max(1, _CHUNK // row) * row
    return [
        (start, min(start + _CHUNK, first + together, count))
        for first in range(0, count, together)
        for start in range(first, min(first + together, count), _CHUNK)
    ]


def each(fetch: Fetch, dtype: str, exact: Array, magnitude: Float64, alternative: Array | None = None) -> Float32:
    """The error of each element, of the shape of `exact`; the arguments are those of `errors`."""
    flat, sizes = exact.reshape(-1), magnitude.reshape(-1)
    row = exact.size // sizes.size
    found = storage.room(exact.shape, np.float32)
    for start, stop in _parts(exact.size, row):
        value, size = widen(fetch(start, stop), dtype), sizes[start // row : -(-stop // row)]
        off = _relative(value, flat[start:stop], size)
        if alternative is not None:
            off = np.minimum(off, _relative(value, alternative.reshape(-1)[start:stop], size))
        found.reshape(-1)[start:stop] = off
    return found


def _part(
    got: Array, dtype: str, want: Array, other: Array | None, size: Float64, start: int
) -> tuple[float, float, int, int]:
    """Worst error, sum of errors, index of the worst and of the first non-finite element (or -1) of one part."""
    with np.errstate(invalid="ignore"):  # some NaNs cannot be cast quietly
        value = widen(got, dtype)
    relative = _relative(value, want, size)
    if other is not None:
        relative = np.where(np.isfinite(relative), relative, _relative(value, other, size))
    lost = np.flatnonzero(~np.isfinite(value) & np.isfinite(want) & np.isinf(relative))
    worst = int(np.argmax(relative))
    return float(relative[worst]), float(relative.sum()), worst + start, int(lost[0]) + start if lost.size else -1


def _relative(value: Array, want: Array, size: Float64) -> Float64:
    """The error of each element; infinite where the two differ and one of them is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        relative = np.abs(value - want) / (np.abs(want).astype(np.float64) + np.repeat(size, want.size // size.size))
    if np.isfinite(relative).all():
        return np.asarray(relative)
    return np.where(_same(value, want), 0.0, np.where(np.isfinite(relative), relative, np.inf))


def _same(one: Array, other: Array) -> npt.NDArray[np.bool_]:
    return np.asarray((one == other) | (np.isnan(one) & np.isnan(other)))


def _quickly(got: Array, dtype: str, want: Array, size: Float64) -> tuple[float, float] | None:
    """Worst error and sum of errors, where the dtypes are common and nothing is NaN or infinite."""
    function = getattr(_native(), f"errors_{dtype}_{want.dtype}", None)
    if function is None:
        return None
    worst, total = ctypes.c_double(), ctypes.c_double()
    arrays = [ctypes.c_void_p(array.ctypes.data) for array in (got, want, size)]
    counts = ctypes.c_long(size.size), ctypes.c_long(want.size // size.size)
    function(*arrays, *counts, ctypes.byref(worst), ctypes.byref(total))
    return (worst.value, total.value) if np.isfinite(total.value) else None


@functools.cache
def _native() -> ctypes.CDLL:
    return ctypes.CDLL(str(native.library("relative_errors")))


def bound(reference: Errors, dtype: str, terms: float, tolerance: Tolerance, chain: float = 1.0) -> Bound:
    """What is allowed for an output of this dtype whose elements are sums of about `terms` terms, `chain` of them where
    nothing is multiplied."""
    if tolerance.relative is not None:
        return Bound(tolerance.relative, tolerance.relative, reference.max, reference.mean)
    unit = UNIT_ROUNDOFF[dtype]
    top = leeway(unit, terms, chain)
    mean = _left(unit, terms, chain, FIXED_MEAN, SUM_MEAN, CHAIN_MEAN)
    chain = min(chain, CHAIN)
    multiple = _magnified(REFERENCE_MULTIPLE_MAX * reference.max, chain, MAGNIFIED_MAX)
    top = max(top, multiple)
    mean = max(mean, _magnified(REFERENCE_MULTIPLE_MEAN * reference.mean, chain, MAGNIFIED_MEAN))
    if tolerance.allow_tf32:
        top, mean = max(top, FIXED_MAX * TF32_ROUNDOFF), max(mean, TF32_ROUNDOFF)
    return Bound(top, mean, reference.max, reference.mean, multiple)


def leeway(unit: float, terms: float, chain: float) -> float:
    """What any order of summation and the elementary functions after it may leave in the worst element, as a share of
    it, where what is stored has this unit roundoff."""
    return _left(unit, terms, chain, FIXED_MAX, SUM_MAX, CHAIN_MAX)


def _left(unit: float, terms: float, chain: float, fixed: float, a_root: float, a_step: float) -> float:
    root = min(math.sqrt(max(terms, chain, 1.0)), ROOT)
    return fixed * unit + max(a_root * root, a_step * min(chain, CHAIN)) * min(unit, ACCUMULATOR)


def _magnified(multiple: float, chain: float, limit: float) -> float:
    """What a multiple of the reference's own error becomes where one chain may be added up instead of partial sums."""
    longer = math.sqrt(max(1.0, chain / PARTIAL_SUMS))
    return max(multiple, min(longer * multiple, limit))


def growth(few: int, many: int) -> float:
    """How many times as far off the worst of `many` elements may be as the worst of `few`, where errors have the tails
    of a product of three normal numbers (P(error > e) ~ exp(-e^(2/3))): a gradient's are an incoming gradient times a
    weight times a rounding."""
    if many <= few:
        return 1.0
    first = 2.0 + math.log(max(1, few))
    return min(GROWTH, float((1 + math.log(many / max(1, few)) / first) ** 1.5))


def narrowed(exact: Array, dtype: str, bound: Bound) -> tuple[Array, Bound]:
    """The answer to a `dtype` output rounded to float32, and what is then allowed; both as they were where float32
    cannot say it (wider outputs, complex ones, values beyond its range)."""
    if dtype not in ("float32", "float16", "bfloat16"):
        return exact, bound
    narrow = storage.room(exact.shape, np.float32)
    with np.errstate(over="ignore"):
        np.copyto(narrow, exact, casting="same_kind")
    if not finite(narrow, "float32"):
        return exact, bound
    unit = UNIT_ROUNDOFF["float32"]
    return narrow, replace(bound, max=bound.max + unit, mean=bound.mean + unit / 2)
