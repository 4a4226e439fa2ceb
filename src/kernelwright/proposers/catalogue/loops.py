"""The loop IR: a kernel's expressions arranged into loops, still in no language.

A `Nest` has an outer loop over kept axes (parallel), and inside it sweeps over the reduced axes, each of which feeds
some
reductions and writes some stores; what depends on kept axes only is computed between sweeps, what depends on no axis at
the end. One axis is the vector axis: the innermost in memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal

from kernelwright.proposers.catalogue.ir import (
    COSTLY,
    Apply,
    Axis,
    Buffer,
    Expr,
    Iota,
    Kernel,
    Load,
    Reduce,
    Scan,
    Store,
    Term,
    Window,
    resolved,
    walk,
)
from kernelwright.proposers.catalogue.moments import in_one_sweep
from kernelwright.proposers.catalogue.products import Product, product
from kernelwright.proposers.catalogue.resolve import Interner, buffers

Kind = Literal["map", "rows", "tiles", "whole", "columns", "product"]


@dataclass(frozen=True, eq=False)
class Sweep:
    """One pass over the reduced axes: reductions fed, stores written, and values kept in a row buffer for later
    passes."""

    reductions: tuple[Reduce, ...]
    stores: tuple[Store, ...]
    keeps: tuple[Expr, ...] = ()


@dataclass(frozen=True, eq=False)
class Nest:
    """A kernel as loops.

    Kinds: `map` (no reduction), `rows` (the vector axis is reduced, rows are independent), `tiles` (the vector axis is
    kept:
    a block of columns at a time), `whole` (everything is reduced, by partial results) and `columns` (the vector axis is
    kept and
    the reduced axes are shared out, by partial results). A `product` is blocked for registers and caches; it has no
    sweeps and no vector axis.
    """

    name: str
    kind: Kind
    parallel: tuple[Axis, ...]
    """Kept axes outside the vector axis, outermost first."""
    inner: tuple[Axis, ...]
    """Reduced axes outside the vector axis, outermost first."""
    vector: Axis | None
    sweeps: tuple[Sweep, ...]
    row_stores: tuple[Store, ...] = ()
    finals: tuple[Reduce, ...] = ()
    """Reductions over rows, done when all rows are."""
    final_stores: tuple[Store, ...] = ()
    factors: Mapping[Axis, tuple[Axis, ...]] = field(default_factory=dict)
    """For axes that stand for several: which, outermost first."""
    product: Product | None = None
    weights: Nest | None = None
    """Where the product is an attention: how a row of scores becomes a row of weights."""

    @property
    def stores(self) -> tuple[Store, ...]:
        """Everything written to memory."""
        return (*(store for sweep in self.sweeps for store in sweep.stores), *self.row_stores, *self.final_stores)

    @property
    def reads(self) -> list[Buffer]:
        """The buffers read, in order of first use."""
        return buffers(store.expr for store in self.stores)

    def leaves(self, axis: Axis) -> tuple[Axis, ...]:
        """The axes of the graph that a loop's axis stands for."""
        parts = self.factors.get(axis)
        return (axis,) if parts is None else tuple(leaf for part in parts for leaf in self.leaves(part))


def arrange(kernel: Kernel, interner: Interner, *, cache_bytes: int) -> Nest:
    """Chooses the loops of a kernel.

    Args:
        interner: the one that the kernel's expressions were made with.
        cache_bytes: the cache that one core has to itself; values worth keeping between sweeps are kept if a row fits.
    """
    stores, kept, reduced, factors = _collapsed(kernel, interner)
    if found := product(stores):
        inside = found.k + (found.scores.k if found.scores else ())
        nest = Nest(kernel.name, "product", found.batch + found.m + found.n, inside, None, (), tuple(stores))
        return replace(nest, factors=factors, product=found, weights=_weights(found, interner, cache_bytes))
    order = _memory_order(stores, kept | reduced)
    vector = order[-1] if order else None
    outer = [axis for axis in order if axis is not vector]
    parallel = tuple(axis for axis in outer if axis in kept)
    inner = tuple(axis for axis in outer if axis in reduced)
    kind = _kind(stores, kept, reduced, vector, parallel, cache_bytes)
    swept_bytes = prod(axis.size for axis in (*inner, *((vector,) if vector in reduced else ()))) * 4
    if kind == "columns" or (kind in ("rows", "whole") and swept_bytes > cache_bytes):
        stores = in_one_sweep(stores, interner)
    return _Passes(kernel.name, stores, kept, reduced).nest(kind, parallel, inner, vector, factors, cache_bytes)


def _weights(product: Product, interner: Interner, cache_bytes: int) -> Nest | None:
    """How a row of an attention's scores becomes one of weights, as a nest of one row in place."""
    if product.scores is None:
        return None
    row = Buffer("scores", "float32", tuple((axis,) for axis in product.k))
    scores = Load("float32", row, tuple(Term(axis) for axis in product.k))
    (weights,) = interner.intern([product.left], {product.scores.total: scores})
    reduced = frozenset(product.k)
    passes = _Passes("weights", [Store(row, weights)], frozenset(), reduced)
    *inner, vector = product.k
    return passes.nest("rows", (), tuple(inner), vector, {}, cache_bytes)


def _kind(
    stores: Sequence[Store],
    kept: frozenset[Axis],
    reduced: frozenset[Axis],
    vector: Axis | None,
    parallel: Sequence[Axis],
    cache_bytes: int,
) -> Kind:
    if not reduced:
        return "map"
    if any(isinstance(node, Scan) for node in walk(store.expr for store in stores)):
        return "rows" if vector in reduced else "tiles"  # one position after the other
    if not kept:
        return "whole"
    if vector in reduced:
        return "rows"
    assert vector is not None  # there are reduced axes
    columns = prod(axis.size for axis in parallel) * vector.size
    indexed = any(
        node.op.startswith("arg") for node in walk(store.expr for store in stores) if isinstance(node, Reduce)
    )
    # Whole rows are read in one stream if all columns' running results fit in the cache beside them.
    return "columns" if columns * 4 <= cache_bytes // 8 and parallel == () and not indexed else "tiles"


def _memory_order(stores: Sequence[Store], axes: frozenset[Axis]) -> list[Axis]:
    """Axes outermost first, as the largest buffer that is written (else read) lies in memory; those that positions are
    counted along, in that order."""
    written = [store.buffer.axes for store in stores]
    read = [
        tuple(axis for term in node.terms for axis in _along(term, axes))
        for node in walk(store.expr for store in stores)
        if isinstance(node, Load)
    ]
    layouts = sorted(written, key=_volume, reverse=True)[:1] + sorted(read, key=_volume, reverse=True)
    layouts.sort(key=lambda layout: -_volume(layout))
    swept = (node for node in walk(store.expr for store in stores) if isinstance(node, (Reduce, Scan)))
    ordered = [node.axes for node in swept if is_ordered(node)]
    layouts = ordered + layouts
    order: list[Axis] = []
    for layout in layouts:
        order = [axis for axis in layout if axis not in order and axis in axes] + order
    return sorted((axis for axis in axes if axis not in order), key=lambda axis: axis.size) + order


def _along(term: Term, axes: frozenset[Axis]) -> list[Axis]:
    """The loop's axes that a coordinate follows, by itself or computed from positions."""
    if term.at is None:
        return [axis for axis in term.axis.resolve() if axis in axes]
    return [node.axis for node in walk([term.at]) if isinstance(node, Iota) and node.axis in axes]


def _volume(axes: Sequence[Axis]) -> int:
    return prod(axis.size for axis in axes)


def _collapsed(
    kernel: Kernel, interner: Interner
) -> tuple[list[Store], frozenset[Axis], frozenset[Axis], dict[Axis, tuple[Axis, ...]]]:
    """Adjacent axes that are adjacent in every buffer become one longer axis."""
    stores, kept, reduced = list(kernel.stores), kernel.kept, kernel.reduced
    factors: dict[Axis, tuple[Axis, ...]] = {}
    while pair := _mergeable(stores, kept, reduced):
        merged = Axis(pair[0].size * pair[1].size)
        factors[merged] = pair
        stores = [merge_store(store, pair, merged, interner) for store in stores]
        kept, reduced = (frozenset(_merge_axes(tuple(axes), pair, merged)) for axes in (kept, reduced))
    return stores, kept, reduced, factors


def _mergeable(stores: Sequence[Store], kept: frozenset[Axis], reduced: frozenset[Axis]) -> tuple[Axis, Axis] | None:
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
    for first, second in sorted(candidates, key=lambda pair: -pair[0].size * pair[1].size):
        together = all(_adjacent(layout, first, second) for layout in layouts)
        same_role = {first, second} <= kept or {first, second} <= reduced
        if together and same_role and not {first, second} & single:
            return first, second
    return None


def _adjacent(layout: Sequence[Axis], first: Axis, second: Axis) -> bool:
    if first not in layout and second not in layout:
        return True
    return first in layout and second in layout and layout.index(second) == layout.index(first) + 1


def _merge_axes(axes: tuple[Axis, ...], pair: tuple[Axis, Axis], merged: Axis) -> tuple[Axis, ...]:
    return tuple(merged if axis is pair[0] else axis for axis in axes if axis is not pair[1])


def merge_store(store: Store, pair: tuple[Axis, Axis], merged: Axis, interner: Interner) -> Store:
    """The store with two adjacent axes replaced by one."""
    swap: dict[Expr, Expr] = {}

    def merged_in(expr: Expr) -> Expr:
        return merge_store(Store(store.buffer, expr), pair, merged, interner).expr

    for node in walk([store.expr]):
        match node:
            case Load() if any(term.axis is pair[0] and term.at is None for term in node.terms):
                terms = tuple(
                    Term(merged)
                    if term.axis is pair[0]
                    else Term(term.axis, None if term.at is None else merged_in(term.at))
                    for term in node.terms
                    if term.axis is not pair[1]
                )
                swap[node] = Load(node.dtype, node.buffer, terms, node.otherwise)
            case Reduce() if pair[0] in node.axes:
                axes = _merge_axes(node.axes, pair, merged)
                swap[node] = Reduce(node.dtype, node.op, merged_in(node.operand), axes)
            case Scan() if pair[0] in node.axes:
                axes = _merge_axes(node.axes, pair, merged)
                swap[node] = Scan(node.dtype, node.op, merged_in(node.operand), axes, node.backward)
    buffer = _shared(store.buffer, _merge_axes(store.buffer.axes, pair, merged))
    return Store(buffer, interner.intern([store.expr], swap)[0])


def _shared(buffer: Buffer, axes: tuple[Axis, ...]) -> Buffer:
    return Buffer(buffer.name, buffer.dtype, tuple((axis,) for axis in axes))


class _Passes:
    """Sorts a kernel's reductions and stores into sweeps: a sweep can use what earlier ones reduced."""

    def __init__(self, name: str, stores: Sequence[Store], kept: frozenset[Axis], reduced: frozenset[Axis]) -> None:
        self.name, self.stores, self.kept, self.reduced = name, stores, kept, reduced
        self.ready: dict[Expr, int] = {}
        self.reductions: dict[int, list[Reduce]] = {}
        self.finals: list[Reduce] = []
        for node in walk(store.expr for store in stores):
            self.ready[node] = max((self.ready[arg] for arg in node.args), default=0)
            if isinstance(node, Reduce):
                self._note(node)

    def _note(self, node: Reduce) -> None:
        if frozenset(node.axes) == self.reduced:
            self.reductions.setdefault(self.ready[node], []).append(node)
            self.ready[node] += 1
        else:
            self.finals.append(node)

    def nest(
        self, kind: Kind, parallel: tuple[Axis, ...], inner: tuple[Axis, ...], vector: Axis | None,
        factors: Mapping[Axis, tuple[Axis, ...]], cache_bytes: int,
    ) -> Nest:  # fmt: skip
        """The finished nest."""
        everything = self.kept | self.reduced
        swept = [store for store in self.stores if frozenset(store.buffer.axes) == everything and self.reduced]
        final = [store for store in self.stores if store not in swept and set(walk([store.expr])) & set(self.finals)]
        rows = [store for store in self.stores if store not in swept and store not in final]
        if kind == "map":
            swept, rows = list(self.stores), []
        count = max([-1, *self.reductions, *(self.ready[store.expr] for store in swept)]) + 1
        keeps = self._kept_values(kind, swept, vector, cache_bytes) if not inner else {}
        sweeps = tuple(
            Sweep(
                tuple(self.reductions.get(index, ())),
                tuple(store for store in swept if self.ready[store.expr] == index),
                tuple(expr for expr, at in keeps.items() if at == index),
            )
            for index in range(count)
        )
        return Nest(
            self.name, kind, parallel, inner, vector, sweeps, tuple(rows), tuple(self.finals), tuple(final), factors
        )

    def _kept_values(
        self, kind: Kind, swept: Sequence[Store], vector: Axis | None, cache_bytes: int
    ) -> dict[Expr, int]:
        """Costly values that a later sweep needs again, with the sweep that computes them; none if a row would not stay
        in cache."""
        if kind != "rows" or vector is None or vector.size * 8 > cache_bytes:
            return {}
        last_use: dict[Expr, int] = {}
        targets = [(store.expr, self.ready[store.expr]) for store in swept]
        targets += [(node.operand, index) for index, nodes in self.reductions.items() for node in nodes]
        for root, index in targets:
            for node in below(root):
                last_use[node] = max(last_use.get(node, 0), index)
        inside = window_axes(last_use)
        again = [
            node
            for node, last in last_use.items()
            if last > self.ready[node] and vector in node.free and not node.free & inside
        ]
        dear = [node for node in again if _is_costly(node)]
        covered = {under for node in dear for under in below(node) if under is not node}
        return {node: self.ready[node] for node in dear if node not in covered}


def below(root: Expr) -> list[Expr]:
    """What must be evaluated at each position to evaluate `root`: not what is inside reductions."""
    order: dict[Expr, None] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        if node in order:
            continue
        order[node] = None
        if not isinstance(node, Reduce):
            stack.extend(node.args)
    return list(order)


def window_axes(nodes: Iterable[Expr]) -> frozenset[Axis]:
    """The axes that windows among the expressions go over."""
    return frozenset(axis for node in nodes if isinstance(node, Window) for axis in node.axes)


def is_ordered(node: Expr) -> bool:
    """Whether the result depends on the order of several axes."""
    return (isinstance(node, Reduce) and node.ordered) or (isinstance(node, Scan) and len(resolved(node.axes)) > 1)


def _is_costly(node: Expr) -> bool:
    return node.dtype == "float32" and (isinstance(node, Window) or (isinstance(node, Apply) and node.op in COSTLY))
