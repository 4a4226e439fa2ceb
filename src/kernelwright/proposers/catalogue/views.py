"""Operations that only move elements: each rearranges the axes of its operand, or takes it at shifted positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kernelwright.proposers.catalogue import dtypes
from kernelwright.proposers.catalogue.axes import Axes, Dims
from kernelwright.proposers.catalogue.build import apply, cast, const, row_major, substitute
from kernelwright.proposers.catalogue.ir import Axis, Expr, Iota, Tensor, resolved
from kernelwright.tasks import GraphNode


class UnsupportedError(Exception):
    """The rule does not cover these operands."""


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
    axes: Axes, node: GraphNode, x: Tensor, dim: int = 0, start: int | None = 0, end: Any = None, step: int = 1
) -> Tensor:
    size = node.outputs[0].shape[dim]
    length = extent(x.dims[dim])
    begin = start or 0
    begin = max(0, begin + length if begin < 0 else begin)
    return taken(axes, x, dim % len(x.dims), begin, size, step)


def taken(axes: Axes, x: Tensor, dim: int, begin: int, size: int, step: int = 1) -> Tensor:
    """`size` positions of one dimension from `begin` on, every `step`-th."""
    length = extent(x.dims[dim])
    if size == length:
        return x
    dims = list(x.dims)
    if step == 1 and length % size == 0 and begin % size == 0:
        outer, inner = _cut(axes, x.dims[dim], size)
        expr = x.expr
        for axis, digit in zip(outer, _digits(begin // size, outer), strict=True):
            expr = substitute(expr, axis, const(digit, "int64"))
        dims[dim] = inner
        return Tensor(expr, tuple(dims), x.dtype)
    whole = resolved(x.dims[dim])
    if len(whole) != 1:
        raise UnsupportedError
    new = () if size == 1 else (Axis(size),)
    at: Expr = Iota("int64", new[0]) if new else const(0, "int64")
    at = apply("add", apply("mul", at, const(step, "int64")), const(begin, "int64"))
    dims[dim] = new
    return Tensor(substitute(x.expr, whole[0], at), tuple(dims), x.dtype)


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
    one = taken(axes, x, dim, index % extent(x.dims[dim]), 1)
    return Tensor(one.expr, one.dims[:dim] + one.dims[dim + 1 :], x.dtype)


def _split(axes: Axes, node: GraphNode, x: Tensor, sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    dim %= len(x.dims)
    begin, parts = 0, []
    for output in node.outputs:
        parts.append(taken(axes, x, dim, begin, output.shape[dim]))
        begin += output.shape[dim]
    return tuple(parts)


def _cat(axes: Axes, node: GraphNode, parts: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Equal parts only: which part an element is in becomes an axis of its own."""
    dim %= len(node.outputs[0].shape)
    sizes = {extent(part.dims[dim]) for part in parts}
    if len(sizes) != 1 or len(parts) > 4 or len({part.dtype for part in parts}) != 1:
        raise UnsupportedError
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


def _full(axes: Axes, node: GraphNode, *args: Any) -> Tensor:
    out = node.outputs[0]
    value = args[-1]
    if isinstance(value, (list, Tensor)):
        raise UnsupportedError
    return Tensor(const(value, dtypes.compute(out.dtype)), axes.fresh(out.shape), out.dtype)


def _filled(value: int) -> Callable[..., Tensor]:
    def rule(axes: Axes, node: GraphNode, *_: Any) -> Tensor:
        out = node.outputs[0]
        return Tensor(const(value, dtypes.compute(out.dtype)), axes.fresh(out.shape), out.dtype)

    return rule


def _arange(axes: Axes, node: GraphNode, *args: float) -> Tensor:
    out = node.outputs[0]
    start, step = (args[0], args[2] if len(args) > 2 else 1) if len(args) > 1 else (0, 1)
    dims = axes.fresh(out.shape)
    kind = dtypes.compute(out.dtype)
    at = cast(row_major(dims[0]), kind)
    return Tensor(apply("add", apply("mul", at, const(step, kind)), const(start, kind)), dims, out.dtype)


def _gather(axes: Axes, node: GraphNode, x: Tensor, dim: int, index: Tensor) -> Tensor:
    if not x.dims or dtypes.category(index.dtype) != 1:
        raise UnsupportedError
    dim %= len(x.dims)
    whole = resolved(x.dims[dim])
    others = [i for i in range(len(x.dims)) if i != dim]
    if len(whole) != 1 or any(extent(x.dims[i]) != extent(index.dims[i]) for i in others):
        raise UnsupportedError
    for i in others:
        if x.dims[i]:
            axes.unify(x.dims[i], index.dims[i])
    (axis,) = resolved(x.dims[dim])
    return Tensor(substitute(x.expr, axis, cast(index.expr, "int64")), index.dims, x.dtype)


def _embedding(axes: Axes, node: GraphNode, weight: Tensor, index: Tensor, *_: Any) -> Tensor:
    if len(resolved(weight.dims[0])) != 1:
        raise UnsupportedError
    fresh = Tensor(weight.expr, weight.dims, weight.dtype)
    (axis,) = resolved(fresh.dims[0])
    return Tensor(substitute(fresh.expr, axis, cast(index.expr, "int64")), index.dims + weight.dims[1:], weight.dtype)


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
    "gather": _gather,
    "embedding": _embedding,
}
PURE = frozenset({"view", "reshape", "_unsafe_view", "permute", "expand", "unsqueeze", "squeeze", "slice", "select"})
"""Views for torch too: where memory is needed, the torch view of the operand costs nothing."""
