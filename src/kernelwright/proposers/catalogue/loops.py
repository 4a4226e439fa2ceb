"""The loop IR: a kernel's expressions arranged into loops, still in no language.

A `Nest` has an outer loop over kept axes, and inside it sweeps over the reduced axes, each of which feeds some
reductions and writes some stores; what depends on kept axes only is computed between sweeps, what depends on all rows
at the end. One axis is the vector axis, the innermost. `rewrites` are what made it so (`rewrites.py`), numbers
included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Literal

from kernelwright.proposers.catalogue.ir import (
    Axis,
    Buffer,
    Const,
    Expr,
    Load,
    Reduce,
    Scan,
    Store,
    Window,
    resolved,
    walk,
)
from kernelwright.proposers.catalogue.products import Product
from kernelwright.proposers.catalogue.resolve import buffers
from kernelwright.proposers.catalogue.rewrites import Rewrite

_HELD = 8192
"""Sums that a program holds while it goes from row to row."""
Kind = Literal["map", "rows", "tiles", "whole", "columns", "product"]


@dataclass(frozen=True, eq=False)
class Sweep:
    """One pass over the reduced axes: reductions fed, stores written, and values kept in a row buffer for later
    passes."""

    reductions: tuple[Reduce, ...]
    stores: tuple[Store, ...]
    keeps: tuple[Expr, ...] = ()
    online: Mapping[Reduce, Reduce] = field(default_factory=dict)
    """Sums of exponentials of the distance from a maximum that the same sweep finds."""

    @property
    def plain(self) -> list[Reduce]:
        """The reductions that have nothing to do with a maximum found online."""
        return [node for node in self.reductions if node not in self.online and node not in self.online.values()]

    @property
    def fed(self) -> list[tuple[Reduce, Expr]]:
        """Each reduction with what it is fed."""
        return [(node, self.online.get(node, node).operand) for node in self.reductions]

    @property
    def roots(self) -> list[Expr]:
        """What is evaluated at each position."""
        return [*(value for _, value in self.fed), *self.keeps, *(store.expr for store in self.stores)]

    @property
    def scans(self) -> list[Scan]:
        """The running results that it goes along with."""
        found = dict.fromkeys(node for root in self.roots for node in below(root))
        return [node for node in found if isinstance(node, Scan)]

    @property
    def backward(self) -> bool:
        """Whether it begins at the far end."""
        return any(scan.backward for scan in self.scans)

    @property
    def loads(self) -> list[Load]:
        """What is read at each position."""
        return [node for root in self.roots for node in below(root) if isinstance(node, Load)]


@dataclass(frozen=True, eq=False)
class Nest:
    """A kernel as loops.

    Kinds: `map` (no reduction), `rows` (the vector axis is reduced, rows are independent), `tiles` (the vector axis is
    kept: a block of columns at a time), `whole` (everything is reduced, by partial results) and `columns` (the vector
    axis is kept and the reduced axes are shared out, by partial results). A `product` is blocked for registers and
    caches; it has no sweeps and no vector axis.
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
    columns: tuple[Expr, ...] = ()
    """Values that follow the vector axis alone, found once before all loops."""
    rewrites: tuple[Rewrite, ...] = ()

    @property
    def stores(self) -> tuple[Store, ...]:
        """Everything written to memory."""
        return (*(store for sweep in self.sweeps for store in sweep.stores), *self.row_stores, *self.final_stores)

    @property
    def loads(self) -> list[Load]:
        """What is read for all that is written."""
        return [node for node in walk(store.expr for store in self.stores) if isinstance(node, Load)]

    @property
    def places(self) -> list[Expr]:
        """What the positions are computed from that are read at."""
        return list(walk(term.at for load in self.loads for term in load.terms if term.at is not None))

    @property
    def reads(self) -> list[Buffer]:
        """The buffers read, in order of first use."""
        return buffers(store.expr for store in self.stores)

    @property
    def buffers(self) -> list[Buffer]:
        """The buffers read, then those written."""
        return [*self.reads, *{store.buffer.name: store.buffer for store in self.stores}.values()]

    def leaves(self, axis: Axis) -> tuple[Axis, ...]:
        """The axes of the graph that a loop's axis stands for."""
        parts = self.factors.get(axis)
        return (axis,) if parts is None else tuple(leaf for part in parts for leaf in self.leaves(part))

    def made(self, name: str, on: str | None = None) -> Rewrite | None:
        """The rewrite of that name, and on that."""
        return made(self.rewrites, name, on)

    @property
    def streamed(self) -> list[Buffer]:
        """Results whose rows are written as whole vectors, so that they could go past the caches."""
        last, found = self.vector, [store for sweep in self.sweeps for store in sweep.stores]
        if self.product is not None and self.product.scores is None and self.product.pitch is None:
            last, found = self.product.n[-1], list(self.row_stores)
        big = {store.buffer.name: store.buffer for store in found if store.buffer.axes[-1:] == (last,)}
        return list(big.values())

    @property
    def in_turn(self) -> Axis | None:
        """The loop whose rounds take rows that a cache should have before they come: those that are swept more than
        once, or those of which columns are combined, a few rows or a part of each at a time."""
        if self.kind == "rows" and self.parallel:
            in_cache = self.sweeps[1:-1] if self.made("pipeline") else self.sweeps[1:]
            return self.parallel[-1] if in_cache else None
        return self.inner[-1] if self.kind in ("tiles", "columns") and self.inner else None

    def next_row(self) -> list[Load]:
        """What the first sweep reads of rows that follow each other, in memory or by an index that each row has."""
        if (row := self.in_turn) is None:
            return []
        found, outside = [], {*self.parallel, row}
        for load in (each for each in self.sweeps[0].loads if each.terms):
            *outer, last = load.terms
            reach = [frozenset((term.axis,)) if term.at is None else term.at.free for term in outer]
            known = all(term.at is None or term.at.free <= outside for term in outer)
            along = last.at is None and last.axis is self.vector
            if known and along and row in frozenset().union(*reach):
                found.append(load)
        return found

    def streams(self, sweep: Sweep) -> list[Load]:
        """What a sweep reads that goes through large tensors from one end to the other, not read by an earlier one."""
        again = self.kind == "rows" and (sweep is not self.sweeps[0] or sweep.backward)
        if again or self.kind in ("tiles", "columns"):
            return []
        everything = {*self.parallel, *self.inner, self.vector}
        found = []
        for load in sweep.loads:
            along = [term.axis for term in load.terms if term.at is None]
            fixed = all(isinstance(term.at, Const) for term in load.terms if term.at is not None)
            if fixed and everything <= set(along) and load.terms[-1].axis is along[-1] is self.vector:
                found.append(load)
        return found


def made(rewrites: Iterable[Rewrite], name: str, on: str | None = None) -> Rewrite | None:
    """The rewrite of that name, and on that, if there is one."""
    return next((each for each in rewrites if each.name == name and (on is None or on in each.on)), None)


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


def is_sum_of_columns(node: Reduce) -> bool:
    """Whether it adds up what lies at the same place of short rows, one of which a program can hold."""
    if node.op != "sum" or node.dtype != "float32" or prod(axis.size for axis in node.free) > _HELD:
        return False
    whole = {*node.axes, *node.free}
    lasts = {buffer.axes[-1] for buffer in buffers([node.operand]) if whole <= {*buffer.axes}}
    return bool(lasts) and lasts <= node.free
