"""Operations that only move elements: each rearranges the axes of its operand, or takes it at shifted positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kernelwright.proposers.catalogue import dtypes
from kernelwright.proposers.catalogue.axes import Axes, Dims
from kernelwright.proposers.catalogue.build import (
    UnsupportedError,
    apply,
    cast,
    const,
    inside,
    last_minus,
    length,
    placed,
    row_major,
    substitute,
)
from kernelwright.proposers.catalogue.ir import Axis, Const, Expr, Iota, Tensor, resolved
from kernelwright.tasks import GraphNode

_MOST_PARTS = 4
"""Concatenations of more are left to the library: each part is looked for at every position."""


def _view(axes: Axes, node: GraphNode, x: Tensor, wanted: Sequence[int]) -> Tensor:
    dims = axes.regroup(x.dims, node.outputs[0].shape)
    if -1 in wanted:
        # Where a dimension is split, the parts that were asked for by number keep their size, the one left open
        # follows.
        follows = resolved(dims[list(wanted).index(-1)])
        for leaves in map(resolved, x.dims):
            if set(leaves) & set(follows):
                axes.pinned += [axis for axis in leaves if axis not in follows]
    return Tensor(x.expr, dims, x.dtype)


def _permute(_: Axes, node: GraphNode, x: Tensor, order: Sequence[int]) -> Tensor:
    return Tensor(x.expr, tuple(x.dims[dim] for dim in order), x.dtype)


def _expand(axes: Axes, node: GraphNode, x: Tensor, *_: Any) -> Tensor:
    shape = node.outputs[0].shape
    padded = ((),) * (len(shape) - len(x.dims)) + x.dims
    fresh = axes.fresh(shape)
    return Tensor(x.expr, tuple(old or new for old, new in zip(padded, fresh, strict=True)), x.dtype)


def _repeat(axes: Axes, node: GraphNode, x: Tensor, times: Sequence[int]) -> Tensor:
    padded = ((),) * (len(times) - len(x.dims)) + x.dims
    again = axes.fresh(tuple(times))
    return Tensor(x.expr, tuple(new + old for new, old in zip(again, padded, strict=True)), x.dtype)


def _unsqueeze(_: Axes, node: GraphNode, x: Tensor, dim: int) -> Tensor:
    dim %= len(node.outputs[0].shape)
    return Tensor(x.expr, (*x.dims[:dim], (), *x.dims[dim:]), x.dtype)


def _squeeze(_: Axes, node: GraphNode, x: Tensor, dims: Any = None) -> Tensor:
    rank = len(x.dims)
    wanted = range(rank) if dims is None else {dim % rank for dim in (dims if isinstance(dims, list) else [dims])}
    return Tensor(x.expr, tuple(dim for i, dim in enumerate(x.dims) if dim or i not in wanted), x.dtype)


def _slice(
    axes: Axes,
    node: GraphNode,
    x: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    dim %= len(x.dims)
    n, size = extent(x.dims[dim]), node.outputs[0].shape[dim]
    start = start or 0
    if size == n:
        return x
    if start >= 0 and end is not None and 0 <= end < n:
        return taken(axes, x, dim, min(start, n), size, step)
    begin = start if start >= 0 else max(n + start, 0)
    if step == 1 and start >= 0 and (end is None or end >= n) and begin % size == 0 and n % size == 0:
        return taken(axes, x, dim, begin, size)  # the last of equal parts
    # Counted from the end, so that other sizes are taken alike.
    along = x.dims[dim]
    first = const(start, "int64") if start >= 0 else _plus(length(along), start)
    last = length(along) if end is None or end >= n else _plus(length(along), end)
    many = apply("sub", last, first)
    many = many if step == 1 else apply("div", _plus(many, step - 1), const(step, "int64"))
    return _spaced(axes, x, dim, first, size, many, step)


def taken(axes: Axes, x: Tensor, dim: int, begin: int, size: int, step: int = 1) -> Tensor:
    """`size` positions of one dimension from `begin` on, every `step`-th."""
    n = extent(x.dims[dim])
    if size == n:
        return x
    dims = list(x.dims)
    if step == 1 and size > 1 and n % size == 0 and begin % size == 0:
        outer, inner = _cut(axes, x.dims[dim], size)
        expr = x.expr
        for axis, digit in zip(outer, _digits(begin // size, outer), strict=True):
            expr = substitute(expr, axis, const(digit, "int64"))
        dims[dim] = inner
        return Tensor(expr, tuple(dims), x.dtype)
    return _spaced(axes, x, dim, const(begin, "int64"), size, None, step)


def _spaced(axes: Axes, x: Tensor, dim: int, begin: Expr, size: int, many: Expr | None, step: int) -> Tensor:
    """Positions from `begin` on, every `step`-th: `size` of them in the exported case, `many` in any."""
    if size == 1 and many is not None:
        axes.pinned += resolved(x.dims[dim])
    new = () if size == 1 else (Axis(size, many),)
    if many is None and new:
        begins = isinstance(begin, Const) and begin.value == 0 and axes.are_fixed(x.dims[dim])
        axes.open += new if begins else ()  # the first so many of a table, as an input may say
        axes.guessed |= not begins
    at = apply("add", apply("mul", row_major(new), const(step, "int64")), begin)
    dims = (*x.dims[:dim], new, *x.dims[dim + 1 :])
    return Tensor(placed(x.expr, x.dims[dim], at), dims, x.dtype)


def _plus(size: Expr, number: int) -> Expr:
    return apply("add", size, const(number, "int64"))


def _cut(axes: Axes, dim: tuple[Axis, ...], size: int) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
    """One dimension's axes, split into those above and those within blocks of `size`."""
    outer, inner = axes.regroup((dim,), (extent(dim) // size, size))
    axes.pinned += outer
    return resolved(outer), resolved(inner)


def _digits(index: int, axes: tuple[Axis, ...]) -> list[int]:
    digits = []
    for axis in reversed(axes):
        index, digit = divmod(index, axis.size)
        digits.append(digit)
    return digits[::-1]


def extent(dim: tuple[Axis, ...]) -> int:
    """The size of a dimension in the exported case."""
    size = 1
    for axis in dim:
        size *= axis.size
    return size


def _select(axes: Axes, node: GraphNode, x: Tensor, dim: int, index: int) -> Tensor:
    dim %= len(x.dims)
    along = x.dims[dim]
    at = const(index, "int64") if index >= 0 else _plus(length(along), index)
    return Tensor(placed(x.expr, along, at), x.dims[:dim] + x.dims[dim + 1 :], x.dtype)


def _split(axes: Axes, node: GraphNode, x: Tensor, sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    dim %= len(x.dims)
    begin, parts = 0, []
    for output in node.outputs:
        parts.append(taken(axes, x, dim, begin, output.shape[dim]))
        begin += output.shape[dim]
    return tuple(parts)


def _cat(axes: Axes, node: GraphNode, parts: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Few parts only. Which of equal parts an element is in becomes an axis of its own."""
    dim %= len(node.outputs[0].shape)
    if len(parts) > _MOST_PARTS or len({part.dtype for part in parts}) != 1:
        raise UnsupportedError
    if len({extent(part.dims[dim]) for part in parts}) > 1:
        return _unequal(axes, node, parts, dim)
    dims: Dims = parts[0].dims
    for part in parts[1:]:
        dims = axes.broadcast(dims, part.dims)
    which = Axis(len(parts))
    axes.pinned.append(which)
    expr = parts[-1].expr
    for index, part in reversed(list(enumerate(parts[:-1]))):
        here = apply("eq", Iota("int64", which), const(index, "int64"))
        expr = apply("where", here, part.expr, expr)
    return Tensor(expr, (*dims[:dim], (which, *dims[dim]), *dims[dim + 1 :]), parts[0].dtype)


def _unequal(axes: Axes, node: GraphNode, parts: Sequence[Tensor], dim: int) -> Tensor:
    """One axis over all parts; each is read where the position is in it."""
    others: Dims = ()
    for part in parts:
        others = axes.broadcast(others, (*part.dims[:dim], (), *part.dims[dim + 1 :]))
    begins: list[Expr] = [const(0, "int64")]
    for part in parts:
        begins.append(apply("add", begins[-1], length(part.dims[dim])))
    whole = Axis(node.outputs[0].shape[dim], begins[-1])
    at = Iota("int64", whole)
    expr: Expr | None = None
    for part, begin, end in reversed(list(zip(parts, begins, begins[1:], strict=False))):
        here = placed(part.expr, part.dims[dim], apply("sub", at, begin), guarded=True)
        expr = here if expr is None else apply("where", apply("lt", at, end), here, expr)
    assert expr is not None  # there are parts
    return Tensor(expr, (*others[:dim], (whole,), *others[dim + 1 :]), parts[0].dtype)


def _flip(_: Axes, node: GraphNode, x: Tensor, dims: Sequence[int]) -> Tensor:
    expr = x.expr
    for dim in dims:
        for axis in resolved(x.dims[dim]):
            expr = substitute(expr, axis, last_minus(axis))
    return Tensor(expr, x.dims, x.dtype)


def _constant_pad(axes: Axes, node: GraphNode, x: Tensor, pads: Sequence[int], value: float = 0) -> Tensor:
    """`pads` are the positions added before and after, from the last dimension on."""
    fill = const(value, dtypes.compute(x.dtype))
    expr, dims = x.expr, list(x.dims)
    for index, (before, after) in enumerate(zip(pads[::2], pads[1::2], strict=True), start=1):
        along, size = x.dims[-index], node.outputs[0].shape[-index]
        if before == after == 0:
            continue
        if size == 1:
            raise UnsupportedError
        dims[-index] = (Axis(size, _plus(length(along), before + after)),)
        expr = inside(expr, along, _plus(row_major(dims[-index]), -before), fill)
    return Tensor(expr, tuple(dims), x.dtype)


def _slice_scatter(
    axes: Axes, node: GraphNode, x: Tensor, part: Tensor, dim: int = 0, start: int | None = None,
    end: int | None = None, step: int = 1,
) -> Tensor:  # fmt: skip
    """A tensor with another one in the place of a slice."""
    dim %= len(x.dims)
    n, start = extent(x.dims[dim]), start or 0
    if step != 1 or start < 0:
        raise UnsupportedError
    if extent(part.dims[dim]) == n:
        return Tensor(part.expr, part.dims, x.dtype)
    without = [(*each.dims[:dim], (), *each.dims[dim + 1 :]) for each in (x, part)]
    dims = axes.broadcast(*without)
    axes.pinned += resolved((*x.dims[dim], *part.dims[dim]))
    axes.guessed = True
    at = _plus(row_major(x.dims[dim]), -start)
    expr = inside(part.expr, part.dims[dim], at, cast(x.expr, part.expr.dtype))
    return Tensor(expr, (*dims[:dim], x.dims[dim], *dims[dim + 1 :]), x.dtype)


def _copy(axes: Axes, node: GraphNode, x: Tensor, source: Tensor) -> Tensor:
    """The source, as large and of the dtype as what it is copied over."""
    dims = axes.broadcast(x.dims, source.dims)
    return Tensor(cast(source.expr, dtypes.compute(x.dtype)), dims, x.dtype)


def _diagonal(axes: Axes, node: GraphNode, x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    first, second = dim1 % len(x.dims), dim2 % len(x.dims)
    along, across = resolved(x.dims[first]), resolved(x.dims[second])
    if offset or extent(along) != extent(across) or extent(along) == 1:
        raise UnsupportedError
    both = (Axis(extent(along), length(along)),)
    expr = placed(placed(x.expr, along, row_major(both)), across, row_major(both))
    kept = tuple(dim for i, dim in enumerate(x.dims) if i not in (first, second))
    return Tensor(expr, (*kept, both), x.dtype)


def _full(axes: Axes, node: GraphNode, *args: Any) -> Tensor:
    value = args[-1]
    if isinstance(value, (list, Tensor)):
        raise UnsupportedError
    return _filled(value)(axes, node, args[0])


def _filled(value: float) -> Callable[..., Tensor]:
    """As large as the first operand, where that is a tensor."""

    def rule(axes: Axes, node: GraphNode, *args: Any) -> Tensor:
        out = node.outputs[0]
        dims = args[0].dims if args and isinstance(args[0], Tensor) else axes.fresh(out.shape)
        return Tensor(const(value, dtypes.compute(out.dtype)), dims, out.dtype)

    return rule


def _arange(axes: Axes, node: GraphNode, *args: float) -> Tensor:
    out = node.outputs[0]
    start, step = (args[0], args[2] if len(args) > 2 else 1) if len(args) > 1 else (0, 1)
    dims = axes.fresh(out.shape)
    kind = dtypes.compute(out.dtype)
    at = cast(row_major(dims[0]), kind)
    return Tensor(apply("add", apply("mul", at, const(step, kind)), const(start, kind)), dims, out.dtype)


RULES: dict[str, Callable[..., Any]] = {
    "view": _view,
    "reshape": _view,
    "_unsafe_view": _view,
    "permute": _permute,
    "expand": _expand,
    "repeat": _repeat,
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    "slice": _slice,
    "select": _select,
    "split_with_sizes": _split,
    "split": _split,
    "cat": _cat,
    "full": _full,
    "full_like": _full,
    "scalar_tensor": _full,
    "zeros": _filled(0),
    "zeros_like": _filled(0),
    "ones": _filled(1),
    "ones_like": _filled(1),
    "arange": _arange,
    "empty": _filled(0),
    "empty_permuted": _filled(0),
    "empty_like": _filled(0),
    "copy": _copy,
    "slice_scatter": _slice_scatter,
    "flip": _flip,
    "constant_pad_nd": _constant_pad,
    "diagonal": _diagonal,
}
PARTS = frozenset({"slice", "select", "split", "split_with_sizes"})
"""Views of a part of their operand."""
PURE = frozenset({"view", "reshape", "_unsafe_view", "permute", "expand", "unsqueeze", "squeeze", "slice", "select"})
"""Views for torch too: where memory is needed, the torch view of the operand costs nothing."""
