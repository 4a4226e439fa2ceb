"""Variance in one sweep, for data that does not stay in cache between two.

With d = x - p for some p near the mean, sum((x - mean)^2) = sum(d^2) - sum(d)^2 / n: see T. Chan, G. Golub, R. LeVeque,
"Algorithms for computing the sample variance", The American Statistician 37 (1983), section 2. How much cancels depends
on the distance of p from the mean in standard deviations; the mean of a few samples spread over the data is near
enough.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernelwright.proposers.catalogue.build import apply, const, reduce, substitute
from kernelwright.proposers.catalogue.ir import Apply, Axis, Const, Expr, Reduce, Size, Store, walk
from kernelwright.proposers.catalogue.resolve import Interner

_SAMPLES = 8


def in_one_sweep(stores: Sequence[Store], interner: Interner) -> list[Store]:
    """The stores with every variance computed from shifted sums, beside the mean."""
    swap: dict[Expr, Expr] = {}
    for node in walk(store.expr for store in stores):
        if found := _squares_about_mean(node):
            value, mean, total = found
            if any(isinstance(part, Reduce) for part in walk([value])):
                continue
            shifted, squares = _shifted(value, total.axes)
            size = mean.operands[1]
            excess = apply("div", apply("mul", shifted, shifted), size)
            swap[node] = apply("max", apply("sub", squares, excess), const(0, node.dtype))
    return [Store(store.buffer, interner.intern([store.expr], swap)[0]) for store in stores] if swap else list(stores)


def _squares_about_mean(node: Expr) -> tuple[Expr, Apply, Reduce] | None:
    """Matches sum((x - mean)^2), where mean = sum(x) / n over the same axes: x, the mean and its sum."""
    match node:
        case Reduce(
            op="sum", operand=Apply(op="mul", operands=(Apply(op="sub", operands=(value, mean)) as left, right))
        ):
            match mean:
                case Apply(op="div", operands=(Reduce(op="sum", operand=summed) as total, _)):
                    if left is right and summed is value and total.axes == node.axes:
                        return value, mean, total
    return None


def _shifted(value: Expr, axes: tuple[Axis, ...]) -> tuple[Expr, Expr]:
    """Sums of (x - pivot) and its square."""
    longest = max(axes, key=lambda axis: axis.size)
    samples = value
    for axis in axes:
        if axis is not longest:
            samples = substitute(samples, axis, const(0, "int64"))
    step = apply("div", Size("int64", (longest,)), const(_SAMPLES, "int64"))
    pivot: Expr = const(0, value.dtype)
    for index in range(_SAMPLES):
        sample = substitute(samples, longest, apply("mul", step, const(index, "int64")))
        pivot = sample if isinstance(pivot, Const) else apply("add", pivot, sample)
    pivot = apply("mul", pivot, const(1 / _SAMPLES, value.dtype))
    away = apply("sub", value, pivot)
    return reduce("sum", away, axes), reduce("sum", apply("mul", away, away), axes)
