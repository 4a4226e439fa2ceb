"""Matrix products and convolutions as sums of products over axes.

A convolution reads its input at computed positions, 0 where these lie in the padding; a transposed one is split into as
many plain ones as its stride is long, one for each phase of the output (see V. Dumoulin, F. Visin, "A guide to
convolution arithmetic for deep learning", 2016). How a sum of products is computed is decided later (`products.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from math import prod
from typing import Any

from kernelwright.proposers.catalogue import dtypes
from kernelwright.proposers.catalogue.axes import Axes, ConflictError, Dims
from kernelwright.proposers.catalogue.build import apply, cast, const, reduce, renamed, row_major, substitute
from kernelwright.proposers.catalogue.ir import (
    COSTLY,
    Apply,
    Axis,
    Const,
    Expr,
    Iota,
    Load,
    Reduce,
    Size,
    Tensor,
    resolved,
    walk,
)
from kernelwright.proposers.catalogue.views import extent
from kernelwright.tasks import GraphNode

_MOST_TAPS = 9
"""Windows over one channel of at most so many elements are written out, element by element."""


class UnsupportedError(Exception):
    """The rule does not cover these operands."""


def _compute(node: GraphNode) -> str:
    kind = dtypes.compute(node.outputs[0].dtype)
    if kind != "float32":
        raise UnsupportedError
    return kind


def _mm(axes: Axes, node: GraphNode, x: Tensor, y: Tensor) -> Tensor:
    """`mm` and `bmm`: sums over the last dimension of x and the last but one of y."""
    kind = _compute(node)
    x, y, batch = _meeting(axes, x, y)
    product = apply("mul", cast(x.expr, kind), cast(y.expr, kind))
    dims = (*batch, x.dims[-2], y.dims[-1])
    axes.remember(Tensor(product, (*dims, x.dims[-1]), node.outputs[0].dtype))
    return Tensor(reduce("sum", product, resolved(x.dims[-1])), dims, node.outputs[0].dtype)


def _meeting(axes: Axes, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Dims]:
    """The operands over axes that agree where they are multiplied and nowhere else, and those of the batch; a second
    one that shares others with the first, as in `x @ x.T`, is computed over axes of its own."""
    for other in (y, renamed(y)):
        try:
            batch = axes.broadcast(x.dims[:-2], other.dims[:-2])
            axes.unify(x.dims[-1], other.dims[-2])
        except ConflictError:
            continue
        if not set(resolved(other.dims[-1])) & set(x.axes) and not set(resolved(x.dims[-2])) & set(other.axes):
            axes.keep_apart(other)
            return x, other, batch
    raise ConflictError


def _addmm(
    axes: Axes, node: GraphNode, bias: Tensor, x: Tensor, y: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    product = _mm(axes, node, x, y)
    kind = product.expr.dtype
    axes.broadcast(product.dims, bias.dims)
    beta, alpha = (node.kwargs.get(name, 1) for name in ("beta", "alpha"))
    scaled = apply("mul", product.expr, const(alpha, kind))
    return Tensor(
        apply("add", scaled, apply("mul", cast(bias.expr, kind), const(beta, kind))), product.dims, product.dtype
    )


def _convolution(
    axes: Axes, node: GraphNode, x: Tensor, weight: Tensor, bias: Tensor | None, stride: list[int], padding: list[int],
    dilation: list[int], transposed: bool, output_padding: list[int], groups: int,
) -> Tensor:  # fmt: skip
    kind = _compute(node)
    out = node.outputs[0].shape
    if len(out) != len(stride) + 2:
        raise UnsupportedError
    channels, filters = extent(x.dims[1]) // groups, out[1] // groups
    size, taps = [tuple(extent(dim) for dim in tensor.dims[2:]) for tensor in (x, weight)]
    x_dims = axes.regroup(x.dims, (out[0], groups, channels, *size))
    order = (channels, filters) if transposed else (filters, channels)
    w_dims = axes.regroup(weight.dims, (groups, *order, *taps))
    w_filters, w_channels = (w_dims[2], w_dims[1]) if transposed else (w_dims[1], w_dims[2])
    axes.pinned += resolved(axis for dim in (x_dims[1], *x_dims[3:]) for axis in dim)
    axes.unify(x_dims[1], w_dims[0])
    axes.unify(x_dims[2], w_channels)
    value, factor = cast(x.expr, kind), cast(weight.expr, kind)
    spatial: list[tuple[Axis, ...]] = []
    inner: list[Axis] = []
    for number, step in enumerate(stride):
        window = _Window(
            out[2 + number], step, padding[number], dilation[number], x_dims[3 + number], w_dims[3 + number]
        )
        value, factor, placed, reduced = (window.transposed if transposed else window.plain)(value, factor)
        spatial.append(placed)
        inner += reduced
    dims = (x_dims[0], w_dims[0] + w_filters, *spatial)
    product = apply("mul", value, factor)
    axes.remember(Tensor(product, (*dims, w_channels, tuple(inner)), node.outputs[0].dtype))
    total = _summed(product, resolved(w_channels), resolved(inner))
    if bias is not None:
        axes.unify(dims[1], bias.dims[0])
        total = apply("add", total, cast(bias.expr, kind))
    return Tensor(total, dims, node.outputs[0].dtype)


def _summed(product: Expr, channels: tuple[Axis, ...], window: tuple[Axis, ...]) -> Expr:
    """The sum over channels and the window; a small window over one channel as a plain expression."""
    if channels or prod(axis.size for axis in window) > _MOST_TAPS:
        return reduce("sum", product, channels + window)
    total: Expr | None = None
    for position in itertools.product(*(range(axis.size) for axis in window)):
        tap = product
        for axis, at in zip(window, position, strict=True):
            tap = substitute(tap, axis, const(at, "int64"))
        total = tap if total is None else apply("add", total, tap)
    assert total is not None  # there is at least one position
    return total


class _Window:
    """One spatial dimension of a convolution.

    Args:
        size: positions of the output.
        step: the stride.
        padding: zeros before the input's first position.
        dilation: the distance between the window's elements.
        source: the input's axes in this dimension.
        taps: the weight's.
    """

    def __init__(
        self, size: int, step: int, padding: int, dilation: int, source: tuple[Axis, ...], taps: tuple[Axis, ...]
    ) -> None:
        self.size, self.step, self.padding, self.dilation = size, step, padding, dilation
        self.source, self.taps = resolved(source), resolved(taps)
        if len(self.source) > 1:
            raise UnsupportedError
        self.length = extent(self.source)

    def plain(self, value: Expr, factor: Expr) -> tuple[Expr, Expr, tuple[Axis, ...], tuple[Axis, ...]]:
        """The input under the window's elements, the weight, the output's axes and those summed over."""
        place = () if self.size == 1 else (Axis(self.size),)
        at = _sum(
            _times(row_major(place), self.step), _times(row_major(self.taps), self.dilation), -self.padding
        )
        last = (self.size - 1) * self.step + (extent(self.taps) - 1) * self.dilation - self.padding
        return self._read(value, at, self.padding > 0, last >= self.length), factor, place, self.taps

    def transposed(self, value: Expr, factor: Expr) -> tuple[Expr, Expr, tuple[Axis, ...], tuple[Axis, ...]]:
        """The same where the window's elements lie `step` apart in the output, not in the input.

        Output position q * step + r meets the window's elements step * t + (r + padding) % step, and with them the
        input at q - t + (r + padding) // step.
        """
        if self.step == 1 or self.dilation > 1 or self.size % self.step or len(self.taps) > 1:
            return self._transposed_anyhow(value, factor)
        place = () if self.size == self.step else (Axis(self.size // self.step),)
        phase, count = Axis(self.step), -(-extent(self.taps) // self.step)
        turn = () if count == 1 else (Axis(count),)
        shifted = _sum(row_major((phase,)), self.padding)
        whole = apply("div", shifted, const(self.step, "int64"))
        tap = _sum(_times(row_major(turn), self.step), apply("sub", shifted, _times(whole, self.step)))
        if self.taps:
            factor = _at(factor, self.taps, tap, after=extent(self.taps) % self.step > 0)
        else:
            factor = _where(apply("eq", tap, const(0, "int64")), factor)
        at = apply("sub", _sum(row_major(place), whole), row_major(turn))
        return self._read(value, at, before=True, after=True), factor, (*place, phase), turn

    def _transposed_anyhow(
        self, value: Expr, factor: Expr
    ) -> tuple[Expr, Expr, tuple[Axis, ...], tuple[Axis, ...]]:
        """Every element of the window at every position of the output: 0 where they do not meet."""
        place = () if self.size == 1 else (Axis(self.size),)
        far = apply("sub", _sum(row_major(place), self.padding), _times(row_major(self.taps), self.dilation))
        if self.step == 1:
            return self._read(value, far, before=True, after=True), factor, place, self.taps
        at = apply("div", far, const(self.step, "int64"))
        meets = apply("eq", _times(at, self.step), far)
        meets = apply("and", meets, apply("ge", far, const(0, "int64")))
        return _where(meets, self._read(value, at, before=True, after=True)), factor, place, self.taps

    def _read(self, value: Expr, at: Expr, before: bool, after: bool) -> Expr:
        if self.source:
            return _at(value, self.source, at, before, after)
        return _where(apply("eq", at, const(0, "int64")), value) if before or after else value


def _at(value: Expr, axes: tuple[Axis, ...], at: Expr, before: bool = False, after: bool = False) -> Expr:
    """The value at a computed position along an axis, 0 where that lies before its beginning or after its end."""
    (axis,) = axes
    size = Size("int64", (axis,))
    inside: list[Expr] = []
    near = at
    if before:
        inside.append(apply("ge", at, const(0, "int64")))
        near = apply("max", near, const(0, "int64"))
    if after:
        inside.append(apply("lt", at, size))
        near = apply("min", near, apply("sub", size, const(1, "int64")))
    value = substitute(value, axis, near)
    return _where(apply("and", *inside) if len(inside) > 1 else inside[0], value) if inside else value


def _where(condition: Expr, value: Expr) -> Expr:
    return apply("where", condition, value, const(0, value.dtype))


def _times(value: Expr, by: int) -> Expr:
    if isinstance(value, Const):
        return const(value.value * by, "int64")
    return apply("mul", value, const(by, "int64"))


def _sum(first: Expr, *others: Expr | int) -> Expr:
    for other in others:
        first = apply("add", first, const(other, "int64") if isinstance(other, int) else other)
    return first


RULES: dict[str, Callable[..., Tensor]] = {"mm": _mm, "bmm": _mm, "addmm": _addmm, "convolution": _convolution}


def worth_keeping(operation: str, operand: Tensor) -> bool:
    """Whether a product's operand is better written to memory: a product would compute it once for each block of
    results, a convolution once for each element of the window."""
    outermost = _outermost(operand.expr)
    if operation == "convolution":
        costly = any(isinstance(node, Apply) and node.op in COSTLY for node in walk([operand.expr]))
        return costly or bool(outermost)
    return bool(outermost) and all(_free(node) == set(operand.axes) for node in outermost)


def _outermost(root: Expr) -> list[Reduce]:
    """The reductions that a value depends on, but not those inside of them."""
    found: dict[Expr, None] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        if node not in found:
            found[node] = None
            stack += () if isinstance(node, Reduce) else node.args
    return [node for node in found if isinstance(node, Reduce)]


def _free(expr: Expr) -> set[Axis]:
    """`Expr.free` while axes may still split: nothing is remembered."""
    free: set[Axis] = set()
    bound: set[Axis] = set()
    for node in walk([expr]):
        if isinstance(node, Load):
            free |= set(resolved(term.axis for term in node.terms if term.at is None))
        elif isinstance(node, Iota):
            free |= set(node.axis.resolve())
        elif isinstance(node, Reduce):
            bound |= set(resolved(node.axes))
    return free - bound
