"""Pooling: every output position combines a window of input positions.

Definitions follow the operations' documentation in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kernelwright.proposers.catalogue import dtypes
from kernelwright.proposers.catalogue.axes import Axes, Dims
from kernelwright.proposers.catalogue.build import (
    InMemoryError,
    UnsupportedError,
    apply,
    cast,
    const,
    inside,
    length,
    placed,
    row_major,
)
from kernelwright.proposers.catalogue.ir import (
    COSTLY,
    IDENTITY,
    Apply,
    Axis,
    Expr,
    Iota,
    Load,
    Reduce,
    Scan,
    Tensor,
    Window,
    resolved,
    walk,
)
from kernelwright.tasks import GraphNode


@dataclass(frozen=True)
class Slide:
    """How a window moves along one dimension: its size, the step to the next one, positions added on either side, the
    distance of its positions, and whether a last window may reach beyond the end."""

    kernel: int
    stride: int
    padding: int = 0
    dilation: int = 1
    ceil: bool = False

    @property
    def overlaps(self) -> bool:
        """Whether a position is in several windows."""
        return self.stride <= self.dilation * (self.kernel - 1)

    def count(self, size: Expr) -> Expr:
        """How many windows there are along a dimension."""
        room = apply("add", size, const(2 * self.padding - self.dilation * (self.kernel - 1) - 1, "int64"))
        if not self.ceil:
            return _plus(_over(room, self.stride), 1)
        begins_inside = _over(_plus(size, self.padding - 1), self.stride)
        return _plus(apply("min", _over(_plus(room, self.stride - 1), self.stride), begins_inside), 1)


def _plus(size: Expr, number: int) -> Expr:
    return apply("add", size, const(number, "int64"))


def _over(size: Expr, number: int) -> Expr:
    return size if number == 1 else apply("div", size, const(number, "int64"))


def _max_pool(
    axes: Axes, node: GraphNode, x: Tensor, kernel: Sequence[int], stride: Sequence[int] = (), padding: Any = 0,
    dilation: Any = 1, ceil: bool = False,
) -> tuple[Tensor]:  # fmt: skip
    """The maxima; where they are is left to the library."""
    slides = _slides(kernel, stride, padding, dilation, ceil)
    if not dtypes.compute(x.dtype).startswith("float"):
        raise UnsupportedError  # whole numbers have no minus infinity
    identity = const(IDENTITY["max"], dtypes.compute(x.dtype))
    expr, dims, over, _ = _slid(axes, node, x, slides, identity)
    return (Tensor(_window("max", expr, over), dims, x.dtype),)


def _avg_pool(
    axes: Axes, node: GraphNode, x: Tensor, kernel: Sequence[int], stride: Sequence[int] = (), padding: Any = 0,
    ceil: bool = False, count_include_pad: bool = True, divisor: int | None = None,
) -> Tensor:  # fmt: skip
    slides = _slides(kernel, stride, padding, 1, ceil)
    kind = dtypes.compute(x.dtype)
    expr, dims, over, begins = _slid(axes, node, x, slides, const(0, kind))
    sizes: Expr = const(divisor or 1, "int64")
    for slide, begin, dim in zip(slides, begins, x.dims[-len(slides) :], strict=True):
        if not divisor:
            sizes = apply("mul", sizes, _counted(slide, begin, length(dim), count_include_pad))
    return Tensor(apply("div", _window("sum", expr, over), cast(sizes, kind)), dims, x.dtype)


def _counted(slide: Slide, begin: Expr, size: Expr, count_include_pad: bool) -> Expr:
    """How many positions of a window count for its average."""
    if slide.padding == 0 and not slide.ceil:
        return const(slide.kernel, "int64")
    if count_include_pad and not slide.ceil:
        return const(slide.kernel, "int64")
    end = apply("min", _plus(begin, slide.kernel), _plus(size, slide.padding if count_include_pad else 0))
    return apply("sub", end, begin if count_include_pad else apply("max", begin, const(0, "int64")))


def _slides(kernel: Sequence[int], stride: Sequence[int], padding: Any, dilation: Any, ceil: bool) -> list[Slide]:
    def each(value: Any) -> Sequence[int]:
        return value if isinstance(value, list) and len(value) == len(kernel) else _repeated(value, len(kernel))

    strides = each(stride) if stride else kernel
    return [Slide(*numbers, ceil) for numbers in zip(kernel, strides, each(padding), each(dilation), strict=True)]


def _repeated(value: Any, times: int) -> list[int]:
    return [value[0] if isinstance(value, (list, tuple)) else value] * times


def _slid(
    axes: Axes, node: GraphNode, x: Tensor, slides: Sequence[Slide], outside: Expr
) -> tuple[Expr, Dims, tuple[Axis, ...], list[Expr]]:
    """The operand at every position of every window: with its dimensions, the windows' axes and where each begins."""
    if any(slide.overlaps for slide in slides):
        _refuse_heavy(x)
    dims, over, begins = list(x.dims), [], []
    expr = cast(x.expr, outside.dtype)
    for index, slide in enumerate(slides, start=len(dims) - len(slides)):
        along = x.dims[index]
        if slide == Slide(1, 1, 0, slide.dilation, slide.ceil):
            begins.append(row_major(along))
            continue
        _refuse_reduced(x, along)
        dims[index] = _windows(axes, node.outputs[0].shape[index], slide, along)
        begins.append(_plus(apply("mul", row_major(dims[index]), const(slide.stride, "int64")), -slide.padding))
        step: Expr = const(0, "int64")
        if slide.kernel > 1:
            over.append(Axis(slide.kernel))
            step = apply("mul", Iota("int64", over[-1]), const(slide.dilation, "int64"))
        at = apply("add", begins[-1], step)
        reaches_out = slide.padding or slide.ceil
        expr = inside(expr, along, at, outside) if reaches_out else placed(expr, along, at)
    return expr, tuple(dims), tuple(over), begins


def _windows(axes: Axes, count: int, slide: Slide, along: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """The axis of a pooled dimension; of one window only, the input keeps its size."""
    if count == 1:
        axes.pinned += resolved(along)
        return ()
    return (Axis(count, slide.count(length(along))),)


def _window(op: str, expr: Expr, over: tuple[Axis, ...]) -> Expr:
    return Window(expr.dtype, op, expr, over) if over else expr


def _refuse_heavy(x: Tensor) -> None:
    """What takes long to compute is not computed again for every window that it is in."""
    for part in walk([x.expr]):
        if isinstance(part, (Window, Scan)) or (isinstance(part, Apply) and part.op in COSTLY):
            raise InMemoryError


def _refuse_reduced(x: Tensor, along: tuple[Axis, ...]) -> None:
    """Reductions of which there is one for each position are not done again for each window."""
    leaves = set(resolved(along))
    for part in walk([x.expr]):
        if isinstance(part, (Reduce, Scan)) and leaves & _positions(part):
            raise InMemoryError


def _positions(part: Reduce | Scan) -> set[Axis]:
    """The axes along which a reduction has a value a position."""
    found: set[Axis] = set()
    for node in walk([part.operand]):
        if isinstance(node, Load):
            found |= set(resolved(term.axis for term in node.terms if term.at is None))
        elif isinstance(node, Iota):
            found |= set(node.axis.resolve())
    return found - set(resolved(part.axes)) if isinstance(part, Reduce) else found


def _adaptive(op: str) -> Callable[..., Any]:
    """Windows of nearly equal size, as many as are asked for: from floor(o n / m) up to ceil((o + 1) n / m)."""

    def rule(axes: Axes, node: GraphNode, x: Tensor, wanted: Sequence[int]) -> Any:
        kind = dtypes.compute(x.dtype)
        outside = const(IDENTITY[op], kind)
        expr, dims, over = cast(x.expr, kind), list(x.dims), []
        sizes: Expr = const(1, "int64")
        for index, many in enumerate(wanted, start=len(dims) - len(wanted)):
            along = x.dims[index]
            n = 1
            for axis in resolved(along):
                n *= axis.size
            if many == n:
                continue
            _refuse_reduced(x, along)
            axes.pinned += resolved(along)  # the windows' sizes follow from it
            dims[index] = () if many == 1 else (Axis(many),)
            begin, end = (_share(row_major(dims[index]), n, many, last) for last in (False, True))
            longest = max(-(-(o + 1) * n // many) - o * n // many for o in range(many))
            over.append(Axis(longest))
            at = apply("add", begin, Iota("int64", over[-1]))
            if n % many:
                _refuse_heavy(x)
                there = inside(expr, along, at, outside)
                expr = apply("where", apply("lt", at, end), there, outside)
            else:
                expr = placed(expr, along, at)
            sizes = apply("mul", sizes, apply("sub", end, begin) if n % many else const(n // many, "int64"))
        if op == "max":
            return (Tensor(_window(op, expr, tuple(over)), tuple(dims), x.dtype),)
        return Tensor(apply("div", _window(op, expr, tuple(over)), cast(sizes, kind)), tuple(dims), x.dtype)

    return rule


def _share(o: Expr, n: int, many: int, last: bool) -> Expr:
    """floor(o n / m), or for the `last` position ceil((o + 1) n / m)."""
    if n % many == 0:
        return apply("mul", _plus(o, int(last)), const(n // many, "int64"))
    shares = apply("mul", _plus(o, int(last)), const(n, "int64"))
    return _over(_plus(shares, (many - 1) * last), many)


RULES: dict[str, Callable[..., Any]] = {
    "max_pool2d_with_indices": _max_pool,
    "max_pool3d_with_indices": _max_pool,
    "avg_pool1d": _avg_pool,
    "avg_pool2d": _avg_pool,
    "avg_pool3d": _avg_pool,
    "_adaptive_avg_pool2d": _adaptive("sum"),
    "_adaptive_avg_pool3d": _adaptive("sum"),
    "adaptive_max_pool2d": _adaptive("max"),
    "adaptive_max_pool3d": _adaptive("max"),
}
