"""Convolutions as sums of products over axes, of an input with zeros around it (`padded`) and the weight.

A transposed one is split into as many plain ones as its stride is long, one for each phase of the output: see
V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016. Where the output is no multiple of
the stride, or the window has gaps, the input gets zeros between its elements instead.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import prod
from typing import Any

from kernelwright.proposers.catalogue.axes import Axes
from kernelwright.proposers.catalogue.build import (
    UnsupportedError,
    apply,
    cast,
    const,
    inside,
    placed,
    reduce,
    row_major,
    substitute,
)
from kernelwright.proposers.catalogue.contractions import computing
from kernelwright.proposers.catalogue.ir import Apply, Axis, Const, Expr, Tensor, resolved
from kernelwright.proposers.catalogue.views import extent
from kernelwright.tasks import GraphNode

_MOST_TAPS = 25
"""Windows over one channel of at most so many elements are written out, element by element."""


def padded(axes: Axes, node: GraphNode, x: Tensor, weight: Tensor) -> Tensor | None:
    """A convolution's input with zeros wherever windows read beside its elements; None where they never do."""
    computing(node)
    windows = _windows(node, x.dims[2:], weight)
    if all(window.reach == (0, window.length) for window in windows):
        return None
    value, dims = x.expr, list(x.dims)
    for number, window in enumerate(windows, 2):
        source = resolved(x.dims[number])
        axes.pinned += source
        low, end = window.reach
        (dims[number],) = axes.fresh((end - low,))
        value = window.spread(value, source, _sum(row_major(dims[number]), low))
    return Tensor(value, tuple(dims), x.dtype)


def by_phase(axes: Axes, node: GraphNode, x: Tensor, weight: Tensor) -> Tensor | None:
    """A transposed convolution's weight as [phases, group, filter, channel, elements of each phase]; None where it has
    no phases."""
    windows = _windows(node, x.dims[2:], weight)
    if not all(window.phased for window in windows) or all(window.step == 1 for window in windows):
        return None
    groups = node.args[8]
    dims = axes.regroup(weight.dims, (groups, extent(weight.dims[0]) // groups, *map(extent, weight.dims[1:])))
    factor, phases, turns = weight.expr, [], []
    for window, taps in zip(windows, dims[3:], strict=True):
        phase, turn = axes.fresh((window.step, window.turns))
        tap = _sum(_times(row_major(turn), window.step), window.shift(phase)[1])
        beyond = window.span % window.step > 0
        factor = inside(factor, taps, tap, const(0, factor.dtype)) if beyond else placed(factor, taps, tap)
        phases.append(phase)
        turns.append(turn)
    return Tensor(factor, (*phases, dims[0], dims[2], dims[1], *turns), weight.dtype)


def convolution(
    axes: Axes, node: GraphNode, x: Tensor, weight: Tensor, bias: Tensor | None, padding: Tensor | None,
    phases: Tensor | None,
) -> Tensor:  # fmt: skip
    """The convolution of the input, or what `padded` made of it, with the weight, or what `by_phase` made of it."""
    kind, out, groups = computing(node), node.outputs[0].shape, node.args[8]
    windows = _windows(node, x.dims[2:], weight)
    source = padding or x
    x_dims = axes.regroup(source.dims, (out[0], groups, extent(x.dims[1]) // groups, *map(extent, source.dims[2:])))
    w_group, w_filters, w_channels, taps, turned = _weight_dims(axes, node, weight, phases, len(windows))
    axes.unify(x_dims[1], w_group)
    axes.unify(x_dims[2], w_channels)
    axes.pinned += resolved(axis for dim in (x_dims[1], *x_dims[3:]) for axis in dim)
    value = cast(source.expr, kind)
    spatial: list[tuple[Axis, ...]] = []
    for window, along, tap, phase in zip(windows, x_dims[3:], taps, turned, strict=True):
        at, place = window.placed(resolved(tap), resolved(phase))
        value = placed(value, along, _sum(at, -window.reach[0]))
        spatial.append(place)
    dims = (x_dims[0], w_group + w_filters, *spatial)
    inner = resolved(axis for tap in taps for axis in tap)
    product = apply("mul", value, cast((phases or weight).expr, kind))
    axes.remember(Tensor(product, (*dims, w_channels, inner), node.outputs[0].dtype))
    total = _summed(product, resolved(w_channels), inner)
    if bias is not None:
        axes.unify(dims[1], bias.dims[0])
        total = apply("add", total, cast(bias.expr, kind))
    return Tensor(total, dims, node.outputs[0].dtype)


def _weight_dims(axes: Axes, node: GraphNode, weight: Tensor, phases: Tensor | None, rank: int) -> tuple[Any, ...]:
    """The weight's groups, filters and channels, and for each spatial dimension its elements and phases."""
    if phases is not None:
        group, filters, channels, *taps = phases.dims[rank:]
        return group, filters, channels, taps, phases.dims[:rank]
    groups, transposed = node.args[8], node.args[6]
    first, second, *spans = map(extent, weight.dims)
    group, one, other, *taps = axes.regroup(weight.dims, (groups, first // groups, second, *spans))
    filters, channels = (other, one) if transposed else (one, other)
    return group, filters, channels, taps, ((),) * rank


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


def _windows(node: GraphNode, sources: Any, weight: Tensor) -> list[_Window]:
    _, _, _, steps, paddings, dilations, transposed, *_ = node.args
    sizes = node.outputs[0].shape[2:]
    if len(sizes) != len(steps):
        raise UnsupportedError
    return [
        _Window(extent(source), size, extent(taps), step, padding, dilation, transposed)
        for source, size, taps, step, padding, dilation in zip(
            sources, sizes, weight.dims[2:], steps, paddings, dilations, strict=True
        )
    ]


@dataclass(frozen=True)
class _Window:
    """One spatial dimension of a convolution.

    Attributes:
        length: positions of the input.
        size: positions of the output.
        span: elements of the window.
        step: the stride.
        padding: zeros before the input's first position.
        dilation: the distance between the window's elements.
        transposed: whether stride and dilation count positions of the output, not of the input.
    """

    length: int
    size: int
    span: int
    step: int
    padding: int
    dilation: int
    transposed: bool

    @property
    def phased(self) -> bool:
        """Whether output position q * step + r meets elements step * t + (r + padding) % step of the window, and with
        them the input at q - t * dilation + (r + padding) // step."""
        return self.transposed and (self.step == 1 or (self.dilation == 1 and self.size % self.step == 0))

    @property
    def gaps(self) -> int:
        """How far apart the input's elements are in the padded input."""
        return self.step if self.transposed and not self.phased else 1

    @property
    def reach(self) -> tuple[int, int]:
        """The first position that is read, counted from the input's first, and the one after the last."""
        low, high = -self.padding, (self.size - 1) * self.step + (self.span - 1) * self.dilation - self.padding
        if self.phased:
            low = self.padding // self.step - (self.turns - 1) * self.dilation
            high = self.size // self.step - 1 + (self.step - 1 + self.padding) // self.step
        elif self.transposed:
            low, high = self.padding - (self.span - 1) * self.dilation, self.size - 1 + self.padding
        return min(0, low), max((self.length - 1) * self.gaps, high) + 1

    def spread(self, value: Expr, source: tuple[Axis, ...], at: Expr) -> Expr:
        """What is at a position of the padded input."""
        nothing = const(0, value.dtype)
        if self.gaps == 1:
            return inside(value, source, at, nothing)
        index = apply("div", at, const(self.gaps, "int64"))
        there = apply("and", apply("eq", _times(index, self.gaps), at), apply("ge", at, const(0, "int64")))
        return apply("where", there, inside(value, source, index, nothing), nothing)

    @property
    def turns(self) -> int:
        """Elements of the window that one phase meets."""
        return -(-self.span // self.step) if self.transposed else self.span

    def shift(self, phase: tuple[Axis, ...]) -> tuple[Expr, Expr]:
        """(r + padding) // step and (r + padding) % step for phase r."""
        shifted = _sum(row_major(phase), self.padding)
        whole = apply("div", shifted, const(self.step, "int64"))
        return whole, apply("sub", shifted, _times(whole, self.step))

    def placed(self, taps: tuple[Axis, ...], phase: tuple[Axis, ...]) -> tuple[Expr, tuple[Axis, ...]]:
        """Which position of the input each element of the window meets, counted from the first, and the output's
        axes."""
        size = self.size // self.step if self.phased else self.size
        place = () if size == 1 else (Axis(size),)
        there, window = row_major(place), _times(row_major(taps), self.dilation)
        if self.phased:
            return apply("sub", _sum(there, self.shift(phase)[0]), window), (*place, *phase)
        if self.transposed:
            return apply("sub", _sum(there, self.padding), window), place
        return _sum(_times(there, self.step), window, -self.padding), place


def _times(value: Expr, by: int) -> Expr:
    return apply("mul", value, const(by, "int64"))


def _sum(first: Expr, *others: Expr | int) -> Expr:
    """Integers, constants added up at the end."""
    terms = [const(other, "int64") if isinstance(other, int) else other for other in (first, *others)]
    known, unknown = 0, []
    for term in terms:
        match term:
            case Const(value=value):
                known += int(value)
            case Apply(op="add", operands=(rest, Const(value=value))):
                known += int(value)
                unknown.append(rest)
            case _:
                unknown.append(term)
    if not unknown:
        return const(known, "int64")
    total = unknown[0]
    for term in unknown[1:]:
        total = apply("add", total, term)
    return apply("add", total, const(known, "int64"))
