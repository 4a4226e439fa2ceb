"""A kernel's reductions and stores sorted into sweeps: a sweep can use what earlier ones reduced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kernelwright.proposers.catalogue.affine import stride
from kernelwright.proposers.catalogue.build import COMPARE
from kernelwright.proposers.catalogue.ir import COSTLY, Apply, Axis, Expr, Reduce, Store, Window, walk
from kernelwright.proposers.catalogue.loops import Sweep, below, window_axes


class Passes:
    """What each sweep does.

    Args:
        stores: what is left in memory.
        kept, reduced: the axes that have a result for each position, and those that are combined.
        online: sums of exponentials, with the maximum that they are relative to, which one sweep finds together.
    """

    def __init__(
        self,
        stores: Sequence[Store],
        kept: frozenset[Axis],
        reduced: frozenset[Axis],
        online: Mapping[Reduce, Reduce] | None = None,
    ) -> None:
        self.stores, self.kept, self.reduced, self.online = stores, kept, reduced, online or {}
        self.ready: dict[Expr, int] = {}
        """In which sweep a value is known."""
        self.reductions: dict[int, list[Reduce]] = {}
        self.finals: list[Reduce] = []
        for node in walk(store.expr for store in stores):
            self.ready[node] = max((self.ready[arg] for arg in node.args), default=0)
            if isinstance(node, Reduce):
                self._note(node)
        self.swept = [store for store in stores if not reduced or frozenset(store.buffer.axes) == kept | reduced]
        others = [store for store in stores if store not in self.swept]
        self.final_stores = [store for store in others if set(walk([store.expr])) & set(self.finals)]
        self.row_stores = [store for store in others if store not in self.final_stores]

    def _note(self, node: Reduce) -> None:
        if frozenset(node.axes) != self.reduced:
            self.finals.append(node)
            return
        if most := self.online.get(node):
            self.ready[node] = self.ready[most] - 1
        self.reductions.setdefault(self.ready[node], []).append(node)
        self.ready[node] += 1

    @property
    def count(self) -> int:
        """How many sweeps there are."""
        return max([-1, *self.reductions, *(self.ready[store.expr] for store in self.swept)]) + 1

    def sweeps(self, keeps: Mapping[Expr, int]) -> tuple[Sweep, ...]:
        """The sweeps, the values kept that each computes."""
        return tuple(
            Sweep(
                tuple(self.reductions.get(index, ())),
                tuple(store for store in self.swept if self.ready[store.expr] == index),
                tuple(expr for expr, at in keeps.items() if at == index),
                {node: self.online[node] for node in self.reductions.get(index, ()) if node in self.online},
            )
            for index in range(self.count)
        )

    def again(self, vector: Axis) -> dict[Expr, int]:
        """Costly values that a later sweep needs again, with the sweep that computes them."""
        last_use: dict[Expr, int] = {}
        targets = [(store.expr, self.ready[store.expr]) for store in self.swept]
        targets += [
            (self.online.get(node, node).operand, index) for index, nodes in self.reductions.items() for node in nodes
        ]
        for root, index in targets:
            for node in below(root):
                last_use[node] = max(last_use.get(node, 0), index)
        inside = window_axes(last_use)
        later = [
            node
            for node, last in last_use.items()
            if last > self.ready[node] and vector in node.free and not node.free & inside
        ]
        dear = [node for node in later if _is_costly(node)]
        covered = {under for node in dear for under in below(node) if under is not node}
        return {node: self.ready[node] for node in dear if node not in covered}

    def of_columns(self, vector: Axis) -> tuple[Expr, ...]:
        """Values that follow the innermost loop alone, and are dearer than reading them: positions that are computed,
        functions of these and of what is one value a column."""
        found: dict[Expr, None] = {}
        stack = [store.expr for store in reversed(self.swept)]
        seen: set[Expr] = set()
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if node.free == {vector}:
                found |= {node: None} if any(_is_dear(part, vector) for part in walk([node])) else {}
            elif vector in node.free and not isinstance(node, Window):
                stack.extend(reversed(node.args))
        return tuple(found)


def _is_dear(node: Expr, vector: Axis) -> bool:
    """Whether a vector of it takes many instructions: costly functions, and whole numbers that are not evenly apart."""
    if not isinstance(node, Apply):
        return False
    if "int64" not in (node.dtype, *(arg.dtype for arg in node.operands)):
        return node.op in COSTLY
    evenly = node.operands if node.op in COMPARE else (node,)
    return any(stride(each, vector) is None for each in evenly)


def _is_costly(node: Expr) -> bool:
    return node.dtype == "float32" and (isinstance(node, Window) or (isinstance(node, Apply) and node.op in COSTLY))
