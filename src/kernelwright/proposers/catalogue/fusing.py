"""Loops over axes that follow each other in every tensor, made one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from kernelwright.proposers.catalogue.ir import Axis, Buffer, Expr, Iota, Load, Reduce, Scan, Store, Term, walk
from kernelwright.proposers.catalogue.resolve import Interner

Pair = tuple[Axis, Axis]


def fusible(stores: Sequence[Store], kept: frozenset[Axis], reduced: frozenset[Axis]) -> list[Pair]:
    """Pairs of axes (outer, inner) that can become one, those with the most positions first."""
    nodes = walk(store.expr for store in stores)
    layouts = [store.buffer.axes for store in stores]
    single = {node.axis for node in nodes if isinstance(node, Iota)}
    for node in nodes:
        if isinstance(node, Load):
            # Merging across a computed coordinate would skip it.
            runs = itertools.groupby(node.terms, key=lambda term: term.at is None)
            layouts += [tuple(term.axis for term in run) for plain, run in runs if plain]
            single |= {leaf for term in node.terms if term.at is not None for leaf in term.axis.resolve()}
        elif isinstance(node, Scan) or (isinstance(node, Reduce) and node.op.startswith("arg")):
            layouts.append(node.axes)
    candidates = dict.fromkeys(pair for layout in layouts for pair in itertools.pairwise(layout))
    return [
        (first, second)
        for first, second in sorted(candidates, key=lambda pair: -pair[0].size * pair[1].size)
        if all(_adjacent(layout, first, second) for layout in layouts)
        and ({first, second} <= kept or {first, second} <= reduced)
        and not {first, second} & single
    ]


def _adjacent(layout: Sequence[Axis], first: Axis, second: Axis) -> bool:
    if first not in layout and second not in layout:
        return True
    return first in layout and second in layout and layout.index(second) == layout.index(first) + 1


def fused_axes(axes: tuple[Axis, ...], pair: Pair, fused: Axis) -> tuple[Axis, ...]:
    """The axes with `fused` in the place of the first of the pair."""
    return tuple(fused if axis is pair[0] else axis for axis in axes if axis is not pair[1])


def fused_store(store: Store, pair: Pair, fused: Axis, interner: Interner) -> Store:
    """The store with two adjacent axes replaced by one."""
    swap: dict[Expr, Expr] = {}

    def inside(expr: Expr) -> Expr:
        return fused_store(Store(store.buffer, expr), pair, fused, interner).expr

    for node in walk([store.expr]):
        match node:
            case Load() if any(term.axis is pair[0] and term.at is None for term in node.terms):
                terms = tuple(
                    Term(fused)
                    if term.axis is pair[0]
                    else Term(term.axis, None if term.at is None else inside(term.at))
                    for term in node.terms
                    if term.axis is not pair[1]
                )
                swap[node] = Load(node.dtype, node.buffer, terms, node.otherwise)
            case Reduce() if pair[0] in node.axes:
                axes = fused_axes(node.axes, pair, fused)
                swap[node] = Reduce(node.dtype, node.op, inside(node.operand), axes)
            case Scan() if pair[0] in node.axes:
                axes = fused_axes(node.axes, pair, fused)
                swap[node] = Scan(node.dtype, node.op, inside(node.operand), axes, node.backward)
    axes = fused_axes(store.buffer.axes, pair, fused)
    buffer = Buffer(store.buffer.name, store.buffer.dtype, tuple((axis,) for axis in axes))
    return Store(buffer, interner.intern([store.expr], swap)[0])
