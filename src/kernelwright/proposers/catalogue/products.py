"""Sums of products that are worth blocking for registers and caches: which they are, and what is what in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from kernelwright.proposers.catalogue.build import apply
from kernelwright.proposers.catalogue.ir import Apply, Axis, Expr, Reduce, Store, walk

_LEAST = 1 << 14
"""Multiplications below which plain loops are as good."""


@dataclass(frozen=True, eq=False)
class Product:
    """total[batch, m, n] = sum over k of left[batch, m, k] * right[batch, k, n]; each letter stands for any number of
    axes, outermost first. Results lie in memory along n."""

    total: Reduce
    left: Expr
    right: Expr
    batch: tuple[Axis, ...]
    m: tuple[Axis, ...]
    n: tuple[Axis, ...]
    k: tuple[Axis, ...]

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Positions along batch, m, n and k in the exported case."""
        batch, m, n, k = (prod(axis.size for axis in axes) for axes in (self.batch, self.m, self.n, self.k))
        return batch, m, n, k


def is_product(node: Reduce) -> bool:
    """Whether a reduction is a product that is worth blocking."""
    return _sides(node) is not None


def product(stores: Sequence[Store]) -> Product | None:
    """The product that all stores of a kernel depend on."""
    totals = [node for node in walk(store.expr for store in stores) if isinstance(node, Reduce)]
    if len(totals) != 1 or (sides := _sides(totals[0])) is None:
        return None
    order = max((store.buffer.axes for store in stores), key=len)
    sides.sort(key=lambda side: max((order.index(axis) for axis in order if axis in side.own), default=-1))
    left, right = sides
    batch = tuple(axis for axis in order if axis in left.axes and axis in right.axes)
    m = tuple(axis for axis in order if axis in left.own)
    n = tuple(axis for axis in order if axis in right.own)
    return Product(totals[0], left.value, right.value, batch, m, n, totals[0].axes)


@dataclass
class _Side:
    """Factors that belong together, and the kept axes that they depend on, of these their own."""

    factors: list[Expr]
    axes: frozenset[Axis]
    own: frozenset[Axis] = frozenset()

    @property
    def value(self) -> Expr:
        """The factors' product."""
        value = self.factors[0]
        for factor in self.factors[1:]:
            value = apply("mul", value, factor)
        return value


def _sides(node: Reduce) -> list[_Side] | None:
    """The two sides of a product; None where there are none, or too little work."""
    if node.op != "sum" or node.dtype != "float32":
        return None
    kept, reduced = node.free, frozenset(node.axes)
    factors = sorted(_factors(node.operand), key=lambda factor: -_size(factor.free))
    sides: list[_Side] = []
    for factor in factors:
        axes = factor.free & kept
        home = next((side for side in sides if axes <= side.axes), None)
        if home is not None and (len(sides) == 2 or not axes):
            home.factors.append(factor)
        elif len(sides) < 2:
            sides.append(_Side([factor], axes))
        else:
            return None
    if len(sides) != 2:
        return None
    first, second = sides
    first.own, second.own = first.axes - second.axes, second.axes - first.axes
    short, long = sorted((_size(first.own), _size(second.own)))
    k = _size(reduced)
    enough = short >= 2 and long >= 8 and k >= 8 and _size(kept) * k >= _LEAST
    return sides if enough and all(side.value.free & reduced for side in sides) else None


def _size(axes: Iterable[Axis]) -> int:
    return prod(axis.size for axis in axes)


def _factors(node: Expr) -> list[Expr]:
    if isinstance(node, Apply) and node.op == "mul":
        return [factor for operand in node.operands for factor in _factors(operand)]
    return [node]
