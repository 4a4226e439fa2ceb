"""What kernels mean, in numpy and float64: `plainly` from their expressions alone, `arranged` by their loops as they
are written: blocks, lanes, chains, tasks, rows in any order, values kept from sweep to sweep, maxima found on the way.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from catalogue_winograd import positions, totals

from kernelwright.proposers.catalogue.ir import (
    IDENTITY,
    Apply,
    Axis,
    Const,
    Expr,
    Iota,
    Load,
    Reduce,
    Scan,
    Size,
    Store,
    Window,
    walk,
)
from kernelwright.proposers.catalogue.loops import Nest, Sweep
from kernelwright.proposers.catalogue.products import Product

Memory = dict[str, Any]
"""Flat arrays by the names of buffers."""
Where = Mapping[Axis, Any]
"""Positions along axes: whole numbers or arrays of them."""
LANES, TASKS = 4, 3
_JOIN: dict[str, Callable[..., Any]] = {
    "sum": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}
_SPECIAL: dict[str, Callable[..., Any]] = {
    "mul": np.multiply, "div": np.true_divide, "sub": np.subtract, "add": np.add, "pow": np.power, "max": np.maximum,
    "min": np.minimum, "neg": np.negative, "abs": np.abs, "exp": np.exp, "exp_nonpos": np.exp, "log": np.log,
    "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
    "and": np.logical_and, "or": np.logical_or, "not": np.logical_not, "where": np.where, "mod": np.mod,
    "isnan": np.isnan, "log1p": np.log1p, "expm1": np.expm1, "erf": np.vectorize(math.erf, otypes=[float]),
}  # fmt: skip


def _apply(node: Apply, values: Sequence[Any]) -> Any:
    if node.op == "cast":
        return np.trunc(values[0]).astype(np.int64) if node.dtype.startswith("int") else values[0] + 0.0
    if node.op == "div" and node.dtype.startswith("int"):
        return values[0] // values[1]
    return _SPECIAL[node.op](*values)


def _load(node: Load, memory: Memory, coordinates: Sequence[Any]) -> Any:
    at: Any = 0
    inside: Any = True
    for term, coordinate in zip(node.terms, coordinates, strict=True):
        size = math.prod(axis.size for axis in term.axis.resolve())
        at = at * size + coordinate
        if node.otherwise is not None:
            inside = inside & (coordinate >= 0) & (coordinate < size)
    if node.otherwise is None:
        return memory[node.buffer.name][at]
    return np.where(inside, memory[node.buffer.name][np.where(inside, at, 0)], node.otherwise.value)


def _offset(axes: Iterable[Axis], where: Where) -> Any:
    at: Any = 0
    for axis in axes:
        at = at * axis.size + where[axis]
    return at


def plainly(stores: Sequence[Store], memory: Memory) -> Memory:
    """What every store leaves, each value found over all positions at once."""
    nodes = walk(store.expr for store in stores)
    axes = dict.fromkeys(axis for store in stores for axis in store.buffer.axes)
    for node in nodes:
        axes |= dict.fromkeys(node.axes if isinstance(node, (Reduce, Scan, Window)) else node.free)
    place = {axis: number for number, axis in enumerate(axes)}
    grid = {axis: np.arange(axis.size).reshape([-1 if a is axis else 1 for a in axes]) for axis in axes}
    found: dict[Expr, Any] = {}
    for node in nodes:
        if isinstance(node, (Reduce, Scan, Window)):
            full = list(np.shape(found[node.operand]) or [1] * len(axes))
            for axis in node.axes:
                full[place[axis]] = axis.size
            over = tuple(place[axis] for axis in node.axes)
            found[node] = _over(node, np.broadcast_to(found[node.operand], full), over)
        else:
            found[node] = _pointwise(node, memory, grid, found)
    left = {}
    for store in stores:
        shape = [axis.size if axis in store.buffer.axes else 1 for axis in axes]
        value = np.broadcast_to(found[store.expr], shape).transpose(
            [*(place[axis] for axis in store.buffer.axes), *(place[a] for a in axes if a not in store.buffer.axes)]
        )
        left[store.buffer.name] = value.reshape(-1)
    return left


def _pointwise(node: Expr, memory: Memory, where: Where, found: Mapping[Expr, Any]) -> Any:
    match node:
        case Const():
            return node.value
        case Iota():
            return where[node.axis]
        case Size():
            return math.prod(axis.size for axis in node.axes)
        case Load():
            at = [found[term.at] if term.at is not None else where[term.axis] for term in node.terms]
            return _load(node, memory, at)
        case Apply():
            return _apply(node, [found[arg] for arg in node.operands])
    raise AssertionError(f"{node} is not known yet")


def _over(node: Reduce | Scan | Window, values: Any, over: tuple[int, ...]) -> Any:
    rest = [place for place in range(values.ndim) if place not in over]
    rows = values.transpose([*rest, *over]).reshape([*(values.shape[place] for place in rest), -1])
    back = np.argsort([*rest, *over])
    if isinstance(node, Scan):
        rows = rows[..., ::-1] if node.backward else rows
        rows = _JOIN[node.op].accumulate(rows, axis=-1)
        rows = rows[..., ::-1] if node.backward else rows
        return rows.reshape([values.shape[place] for place in (*rest, *over)]).transpose(back)
    if node.op.startswith("arg"):
        total = (np.argmax if node.op == "argmax" else np.argmin)(rows, axis=-1)
    else:
        total = _JOIN[node.op].reduce(rows, axis=-1)
    return total.reshape([*total.shape, *(1 for _ in over)]).transpose(back)


class _Row:
    """Values at one place of the outer loops: what is known there, and what is kept for later sweeps."""

    def __init__(self, memory: Memory, where: Where) -> None:
        self.memory, self.where = memory, dict(where)
        self.known: dict[Expr, Any] = {}
        self.kept: dict[Expr, dict[tuple[int, ...], Any]] = {}

    def value(self, root: Expr, where: Where, running: Mapping[Expr, Any] | None = None) -> Any:
        """The value at a position; only what the loops have found so far may be used."""
        known: dict[Expr, Any] = {**self.known, **(running or {})}
        return self._value(root, {**self.where, **where}, known)

    def _value(self, node: Expr, where: Where, known: dict[Expr, Any]) -> Any:
        if node in known:
            return known[node]
        assert not isinstance(node, (Reduce, Scan)), f"{node} is not known yet"
        if isinstance(node, Window):
            found = IDENTITY[node.op]
            for place in positions(node.axes):
                fixed = {expr: value for expr, value in known.items() if not expr.free & set(node.axes)}
                found = _JOIN[node.op](found, self._value(node.operand, {**where, **place}, fixed))
            return found
        values = {arg: self._value(arg, where, known) for arg in node.args}
        found = _pointwise(node, self.memory, where, values)
        known[node] = found
        return found


class _Total:
    """A reduction under way: for each chain and lane a value of its own."""

    def __init__(self, node: Reduce, online: bool) -> None:
        self.node, self.online, self.parts = node, online, dict[Any, Any]()

    def add(self, key: Any, value: Any, position: Any) -> None:
        """One more value; `position` is where it was found."""
        so_far = self.parts.get(key)
        if self.online:
            most, total = so_far or (-math.inf, 0.0)
            larger = max(most, value)
            self.parts[key] = larger, total * math.exp(most - larger) + math.exp(value - larger)
        elif self.node.op.startswith("arg"):
            sign = 1 if self.node.op == "argmax" else -1
            self.parts[key] = max(so_far or (-math.inf, 0), (sign * value, -position))
        else:
            self.parts[key] = value if so_far is None else _JOIN[self.node.op](so_far, value)

    def total(self) -> Any:
        """All parts combined."""
        values = list(self.parts.values())
        if self.online:
            most = max(value for value, _ in values)
            return sum(total * math.exp(value - most) for value, total in values)
        if self.node.op.startswith("arg"):
            return -max(values)[1]
        return _JOIN[self.node.op].reduce(values)


def _small(size: int) -> int:
    """A block's size, as small as what tests compute."""
    return max(1, size.bit_length() - 5)


class _Run:
    """Executes one nest."""

    def __init__(self, nest: Nest, memory: Memory, chance: random.Random) -> None:
        self.nest, self.memory, self.chance = nest, memory, chance
        self.left = {store.buffer.name: np.full(store.buffer.size, math.nan) for store in nest.stores}
        self.rows: dict[Reduce, dict[int, Any]] = {node: {} for node in nest.finals}
        vector, alone = nest.vector, _Row(memory, {})
        along = range(vector.size) if vector and nest.columns else ()
        self.columns = {expr: [alone.value(expr, {vector: at}) for at in along] for expr in nest.columns if vector}

    def run(self) -> Memory:
        """What the nest leaves in memory."""
        nest = self.nest
        if nest.product is not None:
            self._product()
            return self.left
        outer = list(positions(nest.parallel))
        if nest.made("parallelise"):
            self.chance.shuffle(outer)
        for where in outer:
            for block in self._blocks():
                self._row(_Row(self.memory, where), block)
        self._finish()
        return self.left

    def _blocks(self) -> list[range]:
        """The vector axis' positions: all, or in blocks."""
        vector, cut = self.nest.vector, self.nest.made("split") or self.nest.made("tile")
        if vector is None:
            return [range(1)]
        if cut is None or self.nest.kind == "columns":
            return [range(vector.size)]
        assert isinstance(cut.argument, int)
        size = _small(cut.argument)
        blocks = [range(at, min(at + size, vector.size)) for at in range(0, vector.size, size)]
        if self.nest.made("parallelise", "j"):
            self.chance.shuffle(blocks)
        return blocks

    def _row(self, row: _Row, block: range) -> None:
        nest = self.nest
        for sweep in nest.sweeps:
            (self._columns if nest.kind in ("tiles", "columns") else self._sweep)(row, sweep, block)
        along = [{nest.vector: at} for at in block] if nest.vector and nest.kind in ("tiles", "columns") else [{}]
        for place in along:
            known = self._known(row, place)
            for store in nest.row_stores:
                self._store(store, row.value(store.expr, place, known), {**row.where, **place})
            for node in nest.finals:
                at = _offset(node.axes, {**row.where, **place})
                self.rows[node][at] = row.value(node.operand, place, known)

    def _known(self, row: _Row, place: Where) -> dict[Expr, Any]:
        """Results of a column."""
        at = place.get(self.nest.vector) if self.nest.vector else None
        return {node: values[at] for node, values in row.known.items() if isinstance(values, dict)}

    def _store(self, store: Store, value: Any, where: Where) -> None:
        self.left[store.buffer.name][_offset(store.buffer.axes, where)] = value

    def _shares(self, sweep: Sweep, block: range) -> Iterator[tuple[int, dict[Axis, int], list[int]]]:
        """Which task goes through which positions of the inner loops, and through which of the vector axis."""
        nest = self.nest
        tasks = range(TASKS if nest.made("split_reduce") else 1)
        order = list(tasks)
        self.chance.shuffle(order)
        for task in order:
            inner = list(positions(nest.inner))
            along = list(block)
            if nest.inner:
                size = nest.inner[0].size
                mine = range(size * task // len(tasks), size * (task + 1) // len(tasks))
                inner = [place for place in inner if place[nest.inner[0]] in mine]
            else:
                along = along[len(along) * task // len(tasks) : len(along) * (task + 1) // len(tasks)]
            for place in reversed(inner) if sweep.backward else inner:
                yield task, place, along[::-1] if sweep.backward else along

    def _sweep(self, row: _Row, sweep: Sweep, block: range) -> None:
        """Along rows: everything is combined in registers."""
        nest = self.nest
        totals = {node: _Total(node, node in sweep.online) for node in sweep.reductions}
        unroll = nest.made("unroll")
        chains = unroll.argument if unroll and not sweep.scans else 1
        running: dict[Expr, Any] = {}
        for task, place, along in self._shares(sweep, block):
            for number, at in enumerate(along if nest.vector else [0]):
                where = {**place, nest.vector: at} if nest.vector else place
                lane, chain = number % LANES, number // LANES % chains
                kept = {expr: values[at] for expr, values in row.kept.items() if expr not in sweep.keeps}
                kept |= {expr: values[at] for expr, values in self.columns.items()}
                now = self._scanned(row, sweep, where, running, kept)
                for node, value in sweep.fed:
                    position = _offset(node.axes, {**row.where, **where}) if node.op.startswith("arg") else 0
                    totals[node].add((task, chain, lane), row.value(value, where, now), position)
                for expr in sweep.keeps:
                    row.kept.setdefault(expr, {})[at] = row.value(expr, where, now)
                for store in sweep.stores:
                    self._store(store, row.value(store.expr, where, now), {**row.where, **where})
        row.known |= {node: total.total() for node, total in totals.items()}

    def _scanned(
        self, row: _Row, sweep: Sweep, where: Where, running: dict[Expr, Any], kept: dict[Expr, Any]
    ) -> dict[Expr, Any]:
        """The next of each running result."""
        known = dict(kept)
        for scan in sorted(sweep.scans, key=lambda each: len(walk([each]))):
            value = row.value(scan.operand, where, dict(known))
            running[scan] = _JOIN[scan.op](running[scan], value) if scan in running else value
            known[scan] = running[scan]
        return known

    def _columns(self, row: _Row, sweep: Sweep, block: range) -> None:
        """Along columns: each has results of its own."""
        nest = self.nest
        assert nest.vector is not None
        totals = {node: {at: _Total(node, False) for at in block} for node in sweep.reductions}
        running: dict[int, dict[Expr, Any]] = {at: {} for at in block}
        for task, place, along in self._shares(sweep, block):
            for at in along:
                where = {**place, nest.vector: at}
                now = self._scanned(row, sweep, where, running[at], self._known(row, where))
                for node, value in sweep.fed:
                    position = _offset(node.axes, {**row.where, **where}) if node.op.startswith("arg") else 0
                    totals[node][at].add(task, row.value(value, where, now), position)
                for store in sweep.stores:
                    self._store(store, row.value(store.expr, where, now), {**row.where, **where})
        row.known |= {node: {at: each.total() for at, each in columns.items()} for node, columns in totals.items()}

    def _finish(self) -> None:
        last = _Row(self.memory, {})
        for node, values in self.rows.items():
            total = _Total(node, False)
            for at in sorted(values):
                total.add(0, values[at], at)
            last.known[node] = total.total()
        for store in self.nest.final_stores:
            self._store(store, last.value(store.expr, {}), {})

    def _product(self) -> None:
        """Blocks of rows, columns and steps; each result is added up a block of steps at a time, or in shares of them
        first."""
        product = self.nest.product
        assert product is not None
        if self.nest.made("winograd"):
            self._windows(product)
            return

        def blocks(axes: Sequence[Axis], on: str) -> list[list[dict[Axis, int]]]:
            places, made = list(positions(axes)), self.nest.made("split", on)
            assert made is not None and isinstance(made.argument, int)
            size = _small(made.argument)
            return [places[at : at + size] for at in range(0, len(places), size)]

        for batch in positions(product.batch):
            for rows, columns in itertools.product(blocks(product.m, "row"), blocks(product.n, "column")):
                for place in itertools.product(rows, columns):
                    row = _Row(self.memory, {**batch, **place[0], **place[1]})
                    totals = [0.0] * (TASKS if self.nest.made("split_reduce", "step") else 1)
                    order = list(enumerate(blocks(product.k, "step")))
                    if len(totals) > 1:
                        self.chance.shuffle(order)
                    for number, steps in order:
                        share = sum(row.value(product.left, s) * row.value(product.right, s) for s in steps)
                        totals[number * len(totals) // len(order)] += share
                    row.known[product.total] = sum(totals)
                    for store in self.nest.row_stores or self.nest.stores:
                        self._store(store, row.value(store.expr, {}), row.where)

    def _windows(self, product: Product) -> None:
        """Four results at a time."""
        for batch, place in itertools.product(positions(product.batch), positions(product.m)):
            known = _Row(self.memory, {})
            for where, total in totals(product, {**batch, **place}, known.value):
                row = _Row(self.memory, {**batch, **place, **where})
                row.known[product.total] = total
                for store in self.nest.row_stores or self.nest.stores:
                    self._store(store, row.value(store.expr, {}), row.where)


def arranged(nest: Nest, memory: Memory, chance: random.Random) -> Memory:
    """What the nest leaves, executed loop by loop; what may run at the same time runs in any order."""
    return _Run(nest, memory, chance).run()
