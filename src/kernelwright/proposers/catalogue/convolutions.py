"""Convolutions as sums of products over axes, of an input that windows read as it lies (`padded`) and the weight.

The columns of such a product are positions of the output, and each element of the window reads as many positions of
the input, which should follow each other in memory. So the input is copied once, with zeros around it and, where
windows move by more than one position, apart by the position's remainder: what an element of the window reads lies in
one of the parts, without gaps. Devices rather read all channels of a position together: for them the copy has the
channels last, and so has one of the weight.

A transposed one is split into as many plain ones as its stride is long, one for each phase of the output, each of which
meets some of the window's elements: see V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning",
2016.
"""

from __future__ import annotations

from math import prod
from typing import Any

from kernelwright.proposers.catalogue.axes import Axes
from kernelwright.proposers.catalogue.build import apply, cast, const, inside, placed, reduce, row_major, substitute
from kernelwright.proposers.catalogue.contractions import computing
from kernelwright.proposers.catalogue.ir import Axis, Expr, Iota, Load, Tensor, Term, Window, resolved, walk
from kernelwright.proposers.catalogue.phases import Place, Plain, Transposed, dimensions
from kernelwright.proposers.catalogue.views import extent
from kernelwright.tasks import GraphNode

_MOST_TAPS = 128
_FEW_FILTERS = 4
"""Elements of a window over one channel, and filters for each, that are not worth the blocks of a product."""


def padded(axes: Axes, node: GraphNode, x: Tensor, weight: Tensor, *, on_device: bool) -> Tensor | None:
    """A convolution's input as [batch, channel, remainders, positions], or with the channels last; None where it is
    read as it is."""
    computing(node)
    along = dimensions(node, x.dims[2:], weight)
    last = _channels_last(node, weight, on_device)
    as_it_is = all(each.as_it_is for each in along) and not (last and _taps(weight) > 1)
    if as_it_is or _read_directly(node, x, weight, on_device):
        return None
    value, remainders, places = x.expr, [], []
    for each, source in zip(along, x.dims[2:], strict=True):
        axes.pinned += resolved(source)
        remainder, place = axes.fresh(each.stored)
        value = _within(value, source, each.source(remainder, place))
        remainders.append(remainder)
        places.append(place)
    batch, channel = x.dims[:2]
    dims = (batch, *remainders, *places, channel) if last else (batch, channel, *remainders, *places)
    return Tensor(value, dims, x.dtype)


def by_phase(axes: Axes, node: GraphNode, x: Tensor, weight: Tensor, *, on_device: bool) -> Tensor | None:
    """A transposed convolution's weight as [phases, group, filter, elements of each phase, channel], and a plain one's
    without phases where channels are last; None where it is read as it is."""
    along = [each for each in dimensions(node, x.dims[2:], weight) if isinstance(each, Transposed)]
    last = _channels_last(node, weight, on_device) and _taps(weight) > 1
    if not along and not last:
        return None
    groups = node.args[8]
    dims = axes.regroup(weight.dims, (groups, extent(weight.dims[0]) // groups, *map(extent, weight.dims[1:])))
    if not along:
        return Tensor(weight.expr, (*dims[:2], *dims[3:], dims[2]), weight.dtype)
    factor, phases, turns = weight.expr, [], []
    for each, taps in zip(along, dims[3:], strict=True):
        phase, turn = axes.fresh((each.step, each.turns))
        tap = each.tap(phase, turn)
        factor = _within(factor, taps, tap) if each.uneven else placed(factor, taps, tap)
        phases.append(phase)
        turns.append(turn)
    return Tensor(factor, (*phases, dims[0], dims[2], *turns, dims[1]), weight.dtype)


def convolution(
    axes: Axes, node: GraphNode, x: Tensor, weight: Tensor, bias: Tensor | None, padding: Tensor | None,
    phases: Tensor | None, *, on_device: bool,
) -> Tensor:  # fmt: skip
    """The convolution of the input, or what `padded` made of it, with the weight, or what `by_phase` made of it. Where
    phases do not share out the output evenly, it is larger than asked for (see `cropped`)."""
    if padding is not None and _channels_last(node, weight, on_device):
        batch, *rest, channel = padding.dims
        padding = Tensor(padding.expr, (batch, channel, *rest), padding.dtype)
    kind, out, groups = computing(node), node.outputs[0].shape, node.args[8]
    along = dimensions(node, x.dims[2:], weight)
    source = padding or x
    x_dims = axes.regroup(source.dims, (out[0], groups, extent(x.dims[1]) // groups, *map(extent, source.dims[2:])))
    w_group, w_filters, w_channels, taps, turned = _weight_dims(axes, node, weight, phases, len(along))
    axes.unify(x_dims[1], w_group)
    axes.unify(x_dims[2], w_channels)
    axes.pinned += resolved(axis for dim in (x_dims[1], *x_dims[3:]) for axis in dim)
    places = axes.fresh(tuple(each.count for each in along))
    value = cast(source.expr, kind)
    for number, (each, *where) in enumerate(zip(along, places, taps, turned, strict=True)):
        if padding is None and isinstance(each, Plain):
            value = _within(value, x_dims[3 + number], each.position(*where[:2]), each.padding > 0)
            continue
        remainder, at = each.meets(*where)
        value = placed(value, x_dims[number - len(along)], at)
        value = value if padding is None else placed(value, x_dims[3 + number], remainder)
    spatial = (_interleaved(axes, place, phase) for place, phase in zip(places, turned, strict=True))
    dims = (x_dims[0], w_group + w_filters, *spatial)
    channels, inner = resolved(w_channels), resolved(axis for tap in taps for axis in tap)
    product = apply("mul", value, cast((phases or weight).expr, kind))
    axes.remember(Tensor(product, (*dims, channels, inner), node.outputs[0].dtype))
    for each, phase, tap in zip(along, turned, taps, strict=True):
        # A device multiplies with the zeros that are stored for elements that a phase lacks.
        product = _where(each.conditions(phase, tap, zeros=on_device), product)
    if _is_depthwise(node, weight):
        total = _summed(product, inner)
    else:  # in the order in which the weight lies in memory
        total = reduce("sum", product, inner + channels if phases else channels + inner)
    if bias is not None:
        axes.unify(dims[1], bias.dims[0])
        total = apply("add", total, cast(bias.expr, kind))
    return Tensor(total, dims, node.outputs[0].dtype)


def cropped(axes: Axes, node: GraphNode, whole: Tensor) -> Tensor:
    """What was asked for of an output in memory that has more positions at its ends."""
    assert isinstance(whole.expr, Load)  # it is in memory
    terms, dims = [], list(whole.dims)
    for number, (dim, size) in enumerate(zip(whole.dims, node.outputs[0].shape, strict=True)):
        if extent(dim) == size:
            terms += [Term(axis) for axis in dim]
            continue
        (dims[number],), (axis,) = axes.fresh((size,)), dim
        terms.append(Term(axis, row_major(dims[number])))
    return Tensor(Load(whole.expr.dtype, whole.expr.buffer, tuple(terms)), tuple(dims), whole.dtype)


def is_moved(whole: Tensor, weight: Tensor, phase: Axis) -> bool:
    """Whether what the weight (in memory) meets in a transposed convolution lies elsewhere for each phase."""
    assert isinstance(weight.expr, Load)
    loads = [node for node in walk([whole.expr]) if isinstance(node, Load) and node.buffer is not weight.expr.buffer]
    places = walk(term.at for load in loads for term in load.terms if term.at is not None)
    return any(isinstance(place, Iota) and phase in place.axis.resolve() for place in places)


def group_size(weight: Tensor, groups: int, *, transposed: bool) -> tuple[int, int]:
    """Channels of the input and of the output in a group."""
    first, second = (extent(dim) for dim in weight.dims[:2])
    return (first // groups, second) if transposed else (second, first // groups)


def is_depthwise(weight: Tensor, groups: int, *, transposed: bool) -> bool:
    """Whether each element of the output is made of few of one channel, and each of the input goes into few: nothing
    is read so often that blocks in registers would pay."""
    channels, filters = group_size(weight, groups, transposed=transposed)
    return channels == 1 and filters <= _FEW_FILTERS and _taps(weight) <= _MOST_TAPS


def _is_depthwise(node: GraphNode, weight: Tensor) -> bool:
    return is_depthwise(weight, node.args[8], transposed=node.args[6])


def _channels_last(node: GraphNode, weight: Tensor, on_device: bool) -> bool:
    """Whether what is copied for it has the channels last."""
    return on_device and not _is_depthwise(node, weight)


def _read_directly(node: GraphNode, x: Tensor, weight: Tensor, on_device: bool) -> bool:
    """Whether a copy of the input would take longer than to look at its borders each time, which costs devices
    nothing."""
    if not _is_depthwise(node, weight) or node.args[6] or not isinstance(x.expr, Load):
        return False
    return (on_device or x.dtype == "float32") and x.expr.otherwise is None and x.expr.direct


def _taps(weight: Tensor) -> int:
    """Elements of a window over one channel."""
    return prod(map(extent, weight.dims[2:]))


def _within(value: Expr, dim: Place, at: Expr, beyond: bool = True) -> Expr:
    """The value at a position along a dimension, 0 beyond it."""
    return inside(value, resolved(dim), at, const(0, value.dtype)) if beyond else placed(value, dim, at)


def _interleaved(axes: Axes, place: Place, phase: Place) -> Place:
    """A dimension of which each position of a phase is followed by that of the next phase."""
    if not place or not phase:
        return place or phase
    (whole,) = axes.fresh((extent(place) * extent(phase),))
    axes.unify(whole, place + phase)
    return whole


def _weight_dims(axes: Axes, node: GraphNode, weight: Tensor, phases: Tensor | None, rank: int) -> tuple[Any, ...]:
    """The weight's groups, filters and channels, and for each spatial dimension its elements and phases."""
    groups, transposed = node.args[8], node.args[6]
    if phases is not None:
        turned = phases.dims[:rank] if transposed else ((),) * rank
        group, filters, *taps, channels = phases.dims[rank if transposed else 0 :]
        return group, filters, channels, taps, turned
    first, *rest = map(extent, weight.dims)
    group, filters, channels, *taps = axes.regroup(weight.dims, (groups, first // groups, *rest))
    return group, filters, channels, taps, ((),) * rank


def _where(conditions: list[Expr], value: Expr) -> Expr:
    """The value where all conditions hold, 0 elsewhere."""
    for condition in conditions:
        value = apply("where", condition, value, const(0, value.dtype))
    return value


def _summed(product: Expr, axes: Place) -> Expr:
    """The sum over a window within one element's value."""
    taps = tuple(Axis(axis.size) for axis in axes)
    for axis, tap in zip(axes, taps, strict=True):
        product = substitute(product, axis, tap)
    return Window(product.dtype, "sum", product, taps) if taps else product
