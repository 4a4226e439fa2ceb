"""Which stores share a kernel: reductions over the same axes and the elementwise work around them, as long as no cycle
arises.

Greedy, in the order of the graph. Where a value computed by one kernel is needed by another, only reductions are
written to
memory; elementwise work before and after them is done again, which costs less than a round trip through memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernelwright.proposers.catalogue import dtypes
from kernelwright.proposers.catalogue.build import cast
from kernelwright.proposers.catalogue.ir import Axis, Buffer, Call, Expr, Kernel, Load, Reduce, Store, Term, walk
from kernelwright.proposers.catalogue.lower import Lowering, references
from kernelwright.proposers.catalogue.resolve import Interner, buffers
from kernelwright.proposers.catalogue.simplify import simplified

Node = Kernel | Call | Store
JOINABLE = frozenset({"sum", "prod", "max", "min"})


class Partition:
    """Sorts a lowered graph's stores into kernels. After `run`, `order` holds kernels and calls as they must be
    executed."""

    def __init__(self, lowering: Lowering, *, fuse: bool = True) -> None:
        self.fuse = fuse
        self.interner = Interner()
        self.calls = [step for step in lowering.steps if isinstance(step, Call)]
        stores = [step for step in lowering.steps if isinstance(step, Store)]
        exprs = simplified(self.interner.intern(store.expr for store in stores), self.interner)
        self.waiting = [Store(store.buffer, expr) for store, expr in zip(stores, exprs, strict=True)]
        self.kernels: list[Kernel] = []
        self.home: dict[Expr, Kernel] = {}
        self.exchanged: dict[Expr, Expr] = {}
        self.parts: list[Buffer] = []
        self.order: list[Kernel | Call] = []

    def run(self) -> Partition:
        """Places every reduction, then every store, then orders kernels and calls."""
        for store in list(self.waiting):
            for node in walk([store.expr]):
                if isinstance(node, Reduce):
                    self._place_reduction(node)
        while self.waiting:
            self._place_store(self.waiting.pop(0))
        self.kernels = [kernel for kernel in self.kernels if kernel.stores]
        for number, kernel in enumerate(self.kernels):
            kernel.name = f"kernel_{number}"
        self.order = self._sorted()
        return self

    def _now(self, expr: Expr) -> Expr:
        """The expression with everything that was cut or regrouped exchanged."""
        return self.interner.intern([expr], self.exchanged)[0]

    def _place_reduction(self, original: Reduce) -> None:
        node = self._now(original)
        if not isinstance(node, Reduce) or node in self.home:
            return
        inner = self._reductions(node.operand)
        for kernel in reversed(self.kernels):
            regrouped = self._as_part_of(node, inner, kernel)
            if regrouped is None or not self._may_join(regrouped, bool(inner), kernel):
                continue
            for part in walk([regrouped]):
                if isinstance(part, Reduce):
                    self.home.setdefault(part, kernel)
            if regrouped is not node:
                self.exchanged[original] = self.exchanged[node] = regrouped
            return
        for dependency in inner:
            self._cut(dependency)
        node_now = self._now(original)
        assert isinstance(node_now, Reduce)
        kernel = Kernel("", node_now.free, frozenset(node_now.axes))
        self.kernels.append(kernel)
        self.home[node_now] = kernel

    def _as_part_of(self, node: Reduce, inner: Sequence[Reduce], kernel: Kernel) -> Expr | None:
        """The reduction in a form that the kernel can compute, or None."""
        over, kept, reduced = frozenset(node.axes), kernel.kept, kernel.reduced
        if not reduced or any(self.home[dep] is not kernel or self._final(dep, kernel) for dep in inner):
            return None
        if (over, node.free) == (reduced, kept):
            return node
        if kept and over == kept and node.operand.free <= kept:
            return node
        if kept and inner and over == kept | reduced and node.op in JOINABLE:
            rows = Reduce(node.dtype, node.op, node.operand, tuple(axis for axis in node.axes if axis in reduced))
            columns = Reduce(node.dtype, node.op, rows, tuple(axis for axis in node.axes if axis in kept))
            return self.interner.intern([columns])[0]
        return None

    @staticmethod
    def _final(node: Reduce, kernel: Kernel) -> bool:
        """Whether the reduction is known only when all rows are done."""
        return bool(kernel.kept) and frozenset(node.axes) == kernel.kept

    def _place_store(self, store: Store) -> None:
        expr = self._now(store.expr)
        inner = self._reductions(expr)
        for kernel in reversed(self.kernels):
            fits = self._store_fits(store.buffer, inner, kernel)
            if fits and self._may_join(expr, bool(inner), kernel, store.buffer):
                kernel.stores.append(Store(store.buffer, expr))
                return
        for dependency in inner:
            self._cut(dependency)
        kernel = Kernel("", frozenset(store.buffer.axes), frozenset())
        kernel.stores.append(Store(store.buffer, self._now(store.expr)))
        self.kernels.append(kernel)

    def _store_fits(self, buffer: Buffer, inner: Sequence[Reduce], kernel: Kernel) -> bool:
        if any(self.home[dep] is not kernel for dep in inner):
            return False
        swept = frozenset(buffer.axes)
        final = any(self._final(dep, kernel) for dep in inner)
        if final:
            return not swept
        if swept == kernel.kept | kernel.reduced:
            return True
        return bool(inner) and swept == kernel.kept

    def _may_join(self, expr: Expr, related: bool, kernel: Kernel, target: Buffer | None = None) -> bool:
        """Whether computing `expr` in `kernel` saves a read of memory and closes no circle."""
        if not related:
            big = {buffer for buffer in self._reads(kernel) if buffer.axes}
            if not self.fuse or not big & set(buffers([expr])):
                return False
        trial = Store(target or Buffer("", expr.dtype, ()), expr)
        kernel.stores.append(trial)
        acyclic = self._acyclic()
        kernel.stores.pop()
        return acyclic

    def _reductions(self, expr: Expr) -> list[Reduce]:
        return [node for node in walk([expr]) if isinstance(node, Reduce)]

    def _cut(self, node: Reduce) -> None:
        """Has the reduction's kernel write it to memory, and everybody else read it from there."""
        kernel = self.home[node]
        if node in self.exchanged:
            return
        axes = self._in_memory_order(node)
        buffer = Buffer(f"part_{len(self.parts)}", node.dtype, tuple((axis,) for axis in axes))
        self.parts.append(buffer)
        kernel.stores.append(Store(buffer, node))
        self.exchanged[node] = cast(
            Load(dtypes.compute(node.dtype), buffer, tuple(Term(axis) for axis in axes)), node.dtype
        )

    @staticmethod
    def _in_memory_order(node: Reduce) -> tuple[Axis, ...]:
        """The axes that a reduction keeps, in the order in which the buffers it reads have them."""
        order = (axis for buffer in buffers([node]) for axis in buffer.axes)
        known = tuple(axis for axis in dict.fromkeys(order) if axis in node.free)
        return known + tuple(sorted((axis for axis in node.free if axis not in known), key=lambda axis: axis.size))

    def _reads(self, kernel: Kernel) -> list[Buffer]:
        placed = [node for node, home in self.home.items() if home is kernel]
        return buffers([*placed, *kernel.exprs])

    def _edges(self) -> dict[Node, set[Node]]:
        """For every kernel, call and store still to be placed: which others it needs."""
        nodes: list[Node] = [*self.kernels, *self.calls, *self.waiting]
        makers: dict[str, Node] = {}
        for node in nodes:
            if isinstance(node, Kernel):
                makers |= {store.buffer.name: node for store in node.stores}
            else:
                makers[node.name if isinstance(node, Call) else node.buffer.name] = node
        needs: dict[Node, set[Node]] = {}
        for node in nodes:
            if isinstance(node, Call):
                names = references((node.args, node.kwargs))
            elif isinstance(node, Kernel):
                names = [buffer.name for buffer in self._reads(node)]
            else:
                names = [buffer.name for buffer in buffers([self._now(node.expr)])]
            needs[node] = {makers[name] for name in names if name in makers}
            if isinstance(node, Store):
                needs[node] |= {self.home[dep] for dep in self._reductions(self._now(node.expr)) if dep in self.home}
        return needs

    def _acyclic(self) -> bool:
        return len(self._ordered()) == len(self.kernels) + len(self.calls) + len(self.waiting)

    def _sorted(self) -> list[Kernel | Call]:
        """Kernels and calls in an order that respects needs."""
        return [node for node in self._ordered() if not isinstance(node, Store)]

    def _ordered(self) -> list[Node]:
        """Everything in an order that respects needs, as far as there is one; stores while kernels are being formed."""
        needs = self._edges()
        done: dict[Node, None] = {}
        progress = True
        while progress:
            progress = False
            for node in needs:
                if node not in done and all(need in done for need in needs[node]):
                    done[node] = None
                    progress = True
        return list(done)
