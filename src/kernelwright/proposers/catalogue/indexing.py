"""Elements taken at computed positions: by index tensors, and by interpolation between neighbours.

Definitions follow the operations' documentation in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from kernelwright.proposers.catalogue import dtypes, sized
from kernelwright.proposers.catalogue.axes import Axes, Dims
from kernelwright.proposers.catalogue.bounds import least
from kernelwright.proposers.catalogue.build import (
    InMemoryError,
    UnsupportedError,
    apply,
    cast,
    const,
    length,
    placed,
    row_major,
)
from kernelwright.proposers.catalogue.ir import Axis, Combined, Expr, Load, Tensor, resolved, walk
from kernelwright.proposers.catalogue.views import extent
from kernelwright.tasks import GraphNode

_COPIES = Fraction(3, 2)
"""From this factor on, and below 1, no dimension longer than 1 keeps its length."""
_MOST_READS = 4
"""Reads that a neighbour may be made of."""
_FINEST = 64
"""The largest denominator of a factor that floats hold as it was meant."""


def _gather(axes: Axes, node: GraphNode, x: Tensor, dim: int, index: Tensor) -> Tensor:
    if not x.dims or dtypes.category(index.dtype) != 1:
        raise UnsupportedError
    dim %= len(x.dims)
    others = [i for i in range(len(x.dims)) if i != dim]
    if any(extent(x.dims[i]) != extent(index.dims[i]) for i in others):
        raise UnsupportedError
    for i in others:
        if x.dims[i]:
            axes.unify(x.dims[i], index.dims[i])
    return Tensor(_taken(x.expr, x.dims[dim], cast(index.expr, "int64")), index.dims, x.dtype)


def _taken(expr: Expr, along: tuple[Axis, ...], at: Expr) -> Expr:
    return placed(expr, along, at) if resolved(along) else expr


def _scatter(axes: Axes, node: GraphNode, x: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """One element along a dimension takes another value, as in a one-hot row."""
    if not x.dims or dtypes.category(index.dtype) != 1 or len(index.dims) != len(x.dims):
        raise UnsupportedError
    dim %= len(x.dims)
    others = [i for i in range(len(x.dims)) if i != dim]
    if extent(index.dims[dim]) != 1 or any(extent(x.dims[i]) != extent(index.dims[i]) for i in others):
        raise UnsupportedError
    for tensor in (index, value) if isinstance(value, Tensor) else (index,):
        for i in others:
            if x.dims[i]:
                axes.unify(x.dims[i], tensor.dims[i])
    kind = dtypes.compute(x.dtype)
    put = cast(value.expr, kind) if isinstance(value, Tensor) else const(value, kind)
    here = apply("eq", row_major(x.dims[dim]), cast(index.expr, "int64"))
    return Tensor(apply("where", here, put, cast(x.expr, kind)), x.dims, x.dtype)


def _embedding(axes: Axes, node: GraphNode, weight: Tensor, index: Tensor, *_: Any) -> Tensor:
    return _index(axes, node, weight, [index])


def _index_select(axes: Axes, node: GraphNode, x: Tensor, dim: int, index: Tensor) -> Tensor:
    if not index.dims:
        raise UnsupportedError
    return _index(axes, node, x, [None] * (dim % len(x.dims)) + [index])


def _index(axes: Axes, node: GraphNode, x: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    """`x[..., i, j, ...]` where the index tensors follow each other; their common shape takes the place of what they
    index."""
    given = [dim for dim, index in enumerate(indices) if index is not None]
    if given != list(range(given[0], given[-1] + 1)):
        raise UnsupportedError
    common: Dims = ()
    expr = x.expr
    for dim in given:
        index = indices[dim]
        assert index is not None
        if dtypes.category(index.dtype) != 1:
            raise UnsupportedError
        common = axes.broadcast(common, index.dims)
        at = cast(index.expr, "int64")
        if x.dims[dim] and not any(isinstance(part, Load) for part in walk([at])):
            at = sized.positions(axes, at, x.dims[dim])
        if least(at) < 0:
            at = apply("where", apply("lt", at, const(0, "int64")), apply("add", at, length(x.dims[dim])), at)
        expr = _taken(expr, x.dims[dim], at)
    return Tensor(expr, (*x.dims[: given[0]], *common, *x.dims[given[-1] + 1 :]), x.dtype)


def _nearest(axes: Axes, node: GraphNode, x: Tensor, size: Any, scales: Any) -> Tensor:
    """Whole factors only."""
    expr, dims = x.expr, list(x.dims)
    for dim in range(2, len(dims)):
        factor, rest = divmod(node.outputs[0].shape[dim], extent(x.dims[dim]))
        if rest:
            raise UnsupportedError
        if factor > 1:
            dims[dim] = _grown(axes, x.dims[dim], factor, fixed=size is not None)
            expr = _taken(expr, x.dims[dim], apply("div", row_major(dims[dim]), const(factor, "int64")))
    return Tensor(expr, tuple(dims), x.dtype)


def _grown(axes: Axes, along: tuple[Axis, ...], factor: int, *, fixed: bool) -> tuple[Axis, ...]:
    """The axis of a dimension that becomes longer; `fixed` if it has one size whatever the input's."""
    if fixed:
        axes.pinned += resolved(along)
    return (Axis(extent(along) * factor, apply("mul", length(along), const(factor, "int64"))),)


def resized(
    axes: Axes, node: GraphNode, x: Tensor, size: Any, align_corners: bool, scales: Any, *, on_device: bool
) -> Tensor:
    """Between the two neighbours of a position, in each dimension; `align_corners` says what corresponds: the centres
    of the first and last elements, or their outer edges. A device that has twice as many of them makes both positions
    between two neighbours from the same reads."""
    kind = dtypes.compute(x.dtype)
    expr, dims = cast(x.expr, kind), list(x.dims)
    twice = on_device and bool(scales) and 2 in scales and not align_corners and _is_plain(x)
    for dim in range(2, len(dims)):
        along, many, n = x.dims[dim], node.outputs[0].shape[dim], extent(x.dims[dim])
        if many == n:  # copied, whatever the factor
            continue
        if many == 1 or n == 1:
            raise UnsupportedError
        if twice and scales[dim - 2] == 2 and len(resolved(along)) == 1:
            expr, dims[dim] = _doubled(axes, expr, along)
            continue
        dims[dim] = _scaled(axes, along, many, Fraction(scales[dim - 2]) if scales else None)
        at, last = cast(row_major(dims[dim]), kind), apply("sub", length(along), const(1, "int64"))
        if align_corners:
            steps = apply("max", apply("sub", length(dims[dim]), const(1, "int64")), const(1, "int64"))
            at = apply("mul", at, apply("div", cast(last, kind), cast(steps, kind)))
        else:
            half = const(0.5, kind)
            step = 1 / scales[dim - 2] if scales else n / many
            at = apply("sub", apply("mul", apply("add", at, half), const(step, kind)), half)
            at = apply("max", at, const(0, kind))
        low = apply("min", cast(at, "int64"), last)
        high = apply("min", apply("add", low, const(1, "int64")), last)
        share = apply("min", apply("sub", at, cast(low, kind)), const(1, kind))
        left, right = (apply("mul", weight, _taken(expr, along, place)) for weight, place in (
            (apply("sub", const(1, kind), share), low), (share, high)
        ))  # fmt: skip
        expr = apply("add", left, right)
    return Tensor(expr, tuple(dims), x.dtype)


def _is_plain(x: Tensor) -> bool:
    """Whether reading all neighbours of a position is reading memory as it lies.

    Raises:
        InMemoryError: it would compute too much again for each of them.
    """
    nodes = list(walk([x.expr]))
    loads = [node for node in nodes if isinstance(node, Load)]
    if len(loads) > _MOST_READS or any(isinstance(node, Combined) for node in nodes):
        raise InMemoryError
    return all(load.direct for load in loads)


def _doubled(axes: Axes, expr: Expr, along: tuple[Axis, ...]) -> tuple[Expr, tuple[Axis, ...]]:
    """Twice as many positions, a quarter of the way to the neighbour on either side of each that there was. At both
    ends an element is its own neighbour; torch has the next one there, times 0, which shows where that is not finite.
    """
    ((which,),) = axes.fresh((2,))
    axes.pinned.append(which)
    at, one, zero = row_major(along), const(1, "int64"), const(0, "int64")
    before = _taken(expr, along, apply("max", apply("sub", at, one), zero))
    after = _taken(expr, along, apply("min", apply("add", at, one), apply("sub", length(along), one)))
    near = apply("mul", expr, const(0.75, expr.dtype))
    first, second = (apply("add", near, apply("mul", far, const(0.25, expr.dtype))) for far in (before, after))
    return apply("where", apply("eq", row_major((which,)), zero), first, second), (*along, which)


def _scaled(axes: Axes, along: tuple[Axis, ...], many: int, factor: Fraction | None) -> tuple[Axis, ...]:
    """The axis of a dimension that is resized; the dimension keeps its size where the result's does not follow from the
    factor in whole numbers, or may be the same for other sizes, which are then copied."""
    exact = factor is not None and factor.denominator <= _FINEST and extent(along) * factor // 1 == many
    if factor is None or not exact or 1 <= factor < _COPIES:
        axes.pinned += resolved(along)
        return (Axis(many),)
    grown = apply("mul", length(along), const(factor.numerator, "int64"))
    return (Axis(many, apply("div", grown, const(factor.denominator, "int64"))),)


RULES: dict[str, Callable[..., Any]] = {
    "gather": _gather,
    "scatter": _scatter,
    "embedding": _embedding,
    "index": _index,
    "index_select": _index_select,
    **{f"upsample_nearest{rank}d": _nearest for rank in (1, 2, 3)},
}
RESIZED = frozenset({"upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"})
