"""Sums over windows of 3 x 3, two by two results at a time, as in A. Lavin and S. Gray, "Fast Algorithms for
Convolutional Neural Networks", CVPR 2016, in numpy and float64."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kernelwright.proposers.catalogue.ir import Axis, Expr
from kernelwright.proposers.catalogue.products import Product

_WINDOW = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
_WEIGHT = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_RESULT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])
Where = dict[Axis, int]


def positions(axes: Sequence[Axis]) -> Iterator[Where]:
    """Each place along some axes."""
    for place in itertools.product(*(range(axis.size) for axis in axes)):
        yield dict(zip(axes, place, strict=True))


def totals(
    product: Product, fixed: Where, value: Callable[[Expr, Mapping[Axis, int]], Any]
) -> list[tuple[Where, float]]:
    """The sum at each place along n, where `fixed` says which batch and row, and `value` what a side is at a place."""
    *planes, down, across = product.n
    *channels, high, wide = product.k

    def seen(where: Where, at: int, axis: Axis, tap: Axis, distance: int) -> Where:
        """The window's element that lies so far from a place; the fourth one is the last of the next place."""
        return {**where, axis: at + (distance > 2), tap: min(distance, 2)}

    def window(where: Where, y: int, x: int) -> Any:
        def element(i: int, j: int) -> float:
            if y + (i > 2) >= down.size or x + (j > 2) >= across.size:
                return 1e3  # beyond the picture: nothing that is stored may depend on it
            return float(value(product.right, seen(seen(where, y, down, high, i), x, across, wide, j)))

        return np.array([[element(i, j) for j in range(4)] for i in range(4)])

    found = []
    for plane in positions(planes):
        for y, x in itertools.product(range(0, down.size, 2), range(0, across.size, 2)):
            forms = np.zeros((4, 4))
            for channel in positions(channels):
                where = {**fixed, **plane, **channel}
                taps = [[float(value(product.left, {**where, high: i, wide: j})) for j in range(3)] for i in range(3)]
                forms += (_WEIGHT @ np.array(taps) @ _WEIGHT.T) * (_WINDOW @ window(where, y, x) @ _WINDOW.T)
            results = _RESULT @ forms @ _RESULT.T
            found += [
                ({**plane, down: y + i, across: x + j}, float(results[i, j]))
                for i, j in itertools.product(range(min(2, down.size - y)), range(min(2, across.size - x)))
            ]
    return found
