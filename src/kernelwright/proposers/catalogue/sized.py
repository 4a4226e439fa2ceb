"""Positions that a graph computes from sizes alone, as in paddings and rolls: which of its numbers follow a size.

A graph has numbers only. Those near the size of the dimension that is read, or near how many positions there are, are
taken to follow it, and those near 0 to be constants. Numbers in between leave open what they are.
"""

from __future__ import annotations

from kernelwright.proposers.catalogue.axes import Axes, depends
from kernelwright.proposers.catalogue.build import COMPARE, apply, const, length
from kernelwright.proposers.catalogue.ir import Apply, Axis, Const, Expr, Iota, walk
from kernelwright.proposers.catalogue.views import extent

_NEAR = 4
"""A number is near a size if it is less than such a part of it away."""
_SHIFTS = frozenset({"add", "sub", "min", "max", "mod", "where"}) | COMPARE
"""Functions of which an operand may be a size; what multiplies or divides positions is a constant."""


def positions(axes: Axes, at: Expr, along: tuple[Axis, ...]) -> Expr:
    """The same positions along a dimension, for inputs of other sizes too. Where that is not clear, `axes.guessed` says
    so; positions whose number may follow from any input are noted in `axes.open`.

    Args:
        at: computed from counted positions and numbers.
        along: the dimension that is read.
    """
    parts = walk([at])
    if any(part.dtype not in ("int64", "bool") for part in parts):
        axes.guessed = True
        return at
    counted = [leaf for part in parts if isinstance(part, Iota) for leaf in part.axis.resolve()]
    n, fixed = extent(along), axes.are_fixed(along)
    for axis in dict.fromkeys(counted):
        if axis.length is not None or depends(length(along), axis):
            continue
        if not fixed and _is_near(axis.size, n):
            axis.length = apply("add", length(along), const(axis.size - n, "int64"))
            axes.following.append((axis, along))
            axes.guessed |= axis.size < n  # paddings, rolls and reversals have as many or more; these may be a number
        elif fixed or not _is_near(axis.size, 0, n):
            axes.open.append(axis)
    sizes = {n: const(n, "int64") if fixed else length(along)}
    long = (axis for axis in counted if axis.size not in sizes and (fixed or not _is_near(axis.size, 0, n)))
    sizes |= {axis.size: length((axis,)) for axis in long}
    twice = n if fixed and any(axis.size == n for axis in counted) else None
    return _Sized(axes, sizes, twice).of(at)


def _is_near(number: int, size: int, of: int = 0) -> bool:
    return _NEAR * abs(number - size) < (of or size)


class _Sized:
    """Exchanges numbers for sizes, with what they are away from them.

    Args:
        axes: told where a number leaves open what it is.
        sizes: what is known of each size.
        twice: a size of two dimensions, of which only one may change; None where there is none.
    """

    def __init__(self, axes: Axes, sizes: dict[int, Expr], twice: int | None) -> None:
        self._axes, self._sizes, self._twice = axes, sizes, twice

    def of(self, node: Expr) -> Expr:
        """The expression with its numbers exchanged."""
        match node:
            case Const(dtype="int64", value=value):
                size = self._number(abs(int(value)))
                return size if value >= 0 else apply("sub", const(0, "int64"), size)
            case Apply(op=op) if op in _SHIFTS:
                return apply(op, *map(self.of, node.operands))
            case Apply():
                factors = (each if isinstance(each, Const) else self.of(each) for each in node.operands)
                return apply(node.op, *factors)
        return node

    def _number(self, number: int) -> Expr:
        if all(_is_near(number, 0, size) for size in self._sizes):
            return const(number, "int64")
        nearest = min(self._sizes, key=lambda size: abs(size - number))
        self._axes.guessed |= nearest == self._twice or not _is_near(number, nearest)
        return apply("add", self._sizes[nearest], const(number - nearest, "int64"))
