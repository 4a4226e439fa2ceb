"""A kernel's loops while rewrites arrange them, and the nest that they come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kernelwright.proposers.catalogue.fusing import Pair, fused_axes, fused_store, fusible
from kernelwright.proposers.catalogue.ir import Axis, Buffer, Expr, Iota, Kernel, Load, Reduce, Scan, Store, Term, walk
from kernelwright.proposers.catalogue.loops import Kind, Nest, is_ordered, made
from kernelwright.proposers.catalogue.online import exponentials
from kernelwright.proposers.catalogue.passes import Passes
from kernelwright.proposers.catalogue.products import Product, product
from kernelwright.proposers.catalogue.resolve import Interner
from kernelwright.proposers.catalogue.rewrites import Rewrite


@dataclass(frozen=True, eq=False)
class Loops:
    """The loops of one kernel as the rewrites so far have left them: plain and serial to begin with.

    `order` are their axes from outside in: kept ones, then reduced ones, but the innermost may be either. In a product
    they stay what they are, and `row`, `column`, `step` stand for all of a kind.
    """

    name: str
    stores: tuple[Store, ...]
    kept: frozenset[Axis]
    reduced: frozenset[Axis]
    order: tuple[Axis, ...]
    interner: Interner
    factors: Mapping[Axis, tuple[Axis, ...]] = field(default_factory=dict)
    product: Product | None = None
    rewrites: tuple[Rewrite, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The loops' names, from outside in."""
        return (*(f"i{place}" for place in range(len(self.order) - 1)), "j") if self.order else ()

    def axis(self, name: str) -> Axis | None:
        """The axis of the loop of that name."""
        return dict(zip(self.names, self.order, strict=True)).get(name)

    def made(self, name: str, on: str | None = None) -> Rewrite | None:
        """The rewrite of that name, and on that."""
        return made(self.rewrites, name, on)

    @property
    def vector(self) -> Axis | None:
        """The innermost axis."""
        return self.order[-1] if self.order else None

    @property
    def parallel(self) -> tuple[Axis, ...]:
        """Kept axes but the innermost one."""
        return tuple(axis for axis in self.order[:-1] if axis in self.kept)

    @property
    def inner(self) -> tuple[Axis, ...]:
        """Reduced axes but the innermost one."""
        return tuple(axis for axis in self.order[:-1] if axis in self.reduced)

    @property
    def kind(self) -> Kind:
        """See `Nest`."""
        if self.product is not None:
            return "product"
        if not self.reduced:
            return "map"
        in_rows = self.vector in self.reduced
        if self.made("split_reduce"):
            return "whole" if in_rows else "columns"
        return "rows" if in_rows else "tiles"

    @property
    def nodes(self) -> list[Expr]:
        """All expressions."""
        return walk(store.expr for store in self.stores)

    @property
    def passes(self) -> Passes:
        """What is done in which sweep."""
        online = exponentials(self.stores) if self.made("online_reduce", "exponentials") else {}
        return Passes(self.stores, self.kept, self.reduced, online)

    def nest(self) -> Nest:
        """The loops as they are written."""
        if self.product is not None:
            return self._product(self.product)
        passes = self.passes
        keeps = passes.again(self.order[-1]) if self.made("stage", "values") else {}
        columns = passes.of_columns(self.order[-1]) if self.made("stage", "columns") else ()
        return Nest(
            self.name, self.kind, self.parallel, self.inner, self.vector, passes.sweeps(keeps),
            tuple(passes.row_stores), tuple(passes.finals), tuple(passes.final_stores), self.factors,
            columns=columns, rewrites=self.rewrites,
        )  # fmt: skip

    def _product(self, found: Product) -> Nest:
        inside = found.steps + (found.scores.k if found.scores else ())
        weights = self.weights()
        return Nest(
            self.name, "product", found.batch + found.m + found.n, inside, None, (), self.stores, factors=self.factors,
            product=found, weights=None if weights is None else weights.nest(), rewrites=self.rewrites,
        )  # fmt: skip

    def weights(self) -> Loops | None:
        """How a row of an attention's scores becomes one of weights, as loops over one row in place."""
        if self.product is None or self.product.scores is None:
            return None
        axes = self.product.k
        row = Buffer("scores", "float32", tuple((axis,) for axis in axes))
        scores = Load("float32", row, tuple(Term(axis) for axis in axes))
        (weights,) = self.interner.intern([self.product.left], {self.product.scores.total: scores})
        about = tuple(each for each in self.rewrites if each.name in ("stage", "unroll"))
        return Loops(
            "weights", (Store(row, weights),), frozenset(), frozenset(axes), axes, self.interner,
            factors=self.factors, rewrites=about,
        )  # fmt: skip

    def fused(self, pair: Pair) -> Loops:
        """With one loop in the place of two over neighbouring axes (outer, inner)."""
        axis = Axis(pair[0].size * pair[1].size)
        kept, reduced = (frozenset(fused_axes(tuple(axes), pair, axis)) for axes in (self.kept, self.reduced))
        stores = tuple(fused_store(store, pair, axis, self.interner) for store in self.stores)
        place = self.order[-1] if self.order[-1] in pair else pair[0]
        order = tuple(axis if each is place else each for each in self.order if each is place or each not in pair)
        return replace(
            self, stores=stores, kept=kept, reduced=reduced, order=order, factors={**self.factors, axis: pair}
        )

    def reordered(self, order: Sequence[Axis]) -> Loops:
        """With the loops in another order, as far as kept ones stay outside of reduced ones."""
        *outer, innermost = order
        kept = [axis for axis in outer if axis in self.kept]
        return replace(self, order=(*kept, *(axis for axis in outer if axis in self.reduced), innermost))

    def keeps_order(self) -> bool:
        """Whether positions are counted along the loops as they are nested, wherever that matters."""
        return all(
            [axis for axis in self.order if axis in node.axes] == list(node.axes)
            for node in self.nodes
            if isinstance(node, (Reduce, Scan)) and is_ordered(node)
        )


def begin(kernel: Kernel, interner: Interner) -> Loops:
    """A kernel's loops as its tensors lie in memory.

    Args:
        kernel: what is computed.
        interner: the one that its expressions were made with.
    """
    loops = Loops(kernel.name, tuple(kernel.stores), kernel.kept, kernel.reduced, (), interner)
    if order := memory_order(loops):
        loops = loops.reordered(order)
    if product(kernel.stores) is None:
        return loops
    while pairs := fusible(loops.stores, loops.kept, loops.reduced):
        loops = loops.fused(pairs[0])
    return replace(loops, product=product(loops.stores))


def memory_order(loops: Loops) -> list[Axis]:
    """Axes outermost first, as the largest buffer that is written (else read) lies in memory; those that positions are
    counted along, in that order."""
    axes, nodes = loops.kept | loops.reduced, loops.nodes
    written = [store.buffer.axes for store in loops.stores]
    read = [
        tuple(axis for term in node.terms for axis in _along(term, axes)) for node in nodes if isinstance(node, Load)
    ]
    layouts = sorted(written, key=_volume, reverse=True)[:1] + sorted(read, key=_volume, reverse=True)
    layouts.sort(key=lambda layout: -_volume(layout))
    swept = (node for node in nodes if isinstance(node, (Reduce, Scan)))
    layouts = [node.axes for node in swept if is_ordered(node)] + layouts
    order: list[Axis] = []
    for layout in layouts:
        order = [axis for axis in dict.fromkeys(layout) if axis not in order and axis in axes] + order
    return sorted((axis for axis in axes if axis not in order), key=lambda axis: axis.size) + order


def _along(term: Term, axes: frozenset[Axis]) -> list[Axis]:
    """The loop's axes that a coordinate follows, by itself or computed from positions."""
    if term.at is None:
        return [axis for axis in term.axis.resolve() if axis in axes]
    return [node.axis for node in walk([term.at]) if isinstance(node, Iota) and node.axis in axes]


def _volume(axes: Sequence[Axis]) -> int:
    size = 1
    for axis in axes:
        size *= axis.size
    return size
