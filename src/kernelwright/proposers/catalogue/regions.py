"""Which stores share a kernel: reductions over the same axes and the elementwise work around them, as long as no cycle
arises.

Greedy, in the order of the graph. Where a value computed by one kernel is needed by another, only reductions are
written to memory; elementwise work before and after them is done again, which costs less than a round trip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kernelwright.proposers.catalogue import dtypes
from kernelwright.proposers.catalogue.build import cast
from kernelwright.proposers.catalogue.ir import (
    Axis,
    Buffer,
    Call,
    Expr,
    Kernel,
    Load,
    Reduce,
    Scan,
    Store,
    Term,
    walk,
)
from kernelwright.proposers.catalogue.loops import is_ordered, is_sum_of_columns
from kernelwright.proposers.catalogue.lower import Lowering, references
from kernelwright.proposers.catalogue.products import is_product, product
from kernelwright.proposers.catalogue.resolve import Interner, buffers, in_memory_order
from kernelwright.proposers.catalogue.simplify import simplified

Node = Kernel | Call | Store
Swept = Reduce | Scan
"""What takes a sweep of its kernel over some axes."""
JOINABLE = frozenset({"sum", "prod", "max", "min"})


class Partition:
    """Sorts a lowered graph's stores into kernels. After `run`, `order` holds kernels and calls as they must be
    executed.

    Args:
        lowering: the stores.
        combines_rows: a kernel may combine the results of all its rows once all are done.
        sums_columns: it may add up what it finds in each column of its rows.
        shares_left: a kernel may make several products, of the same left side or added up.
        attends: whether a kernel can compute a product of what is made of another's results.
    """

    def __init__(
        self,
        lowering: Lowering,
        *,
        combines_rows: bool,
        sums_columns: bool,
        shares_left: bool,
        attends: Callable[[Expr], bool],
    ) -> None:
        self.interner = Interner()
        self._combines_rows, self._sums_columns, self._shares_left = combines_rows, sums_columns, shares_left
        self.calls = [step for step in lowering.steps if isinstance(step, Call)]
        stores = [step for step in lowering.steps if isinstance(step, Store)]
        exprs = simplified(self.interner.intern(store.expr for store in stores), self.interner)
        self.waiting = [Store(store.buffer, expr) for store, expr in zip(stores, exprs, strict=True)]
        self.kernels: list[Kernel] = []
        self.home: dict[Expr, Kernel] = {}
        self.products: set[Kernel] = set()
        self.attentions = {node for node in walk(store.expr for store in self.waiting) if attends(node)}
        self.exchanged: dict[Expr, Expr] = {}
        self._written: dict[Kernel, list[Expr]] = {}
        """What kernels write for others to read."""
        self.parts: list[Buffer] = []
        self.reads: dict[Kernel, dict[str, Buffer]] = {}
        self.makers: dict[str, Node] = {call.name: call for call in self.calls}
        self.makers |= {store.buffer.name: store for store in self.waiting}
        self.order: list[Kernel | Call] = []
        self._backward = set(lowering.graph.upstream)
        """Buffers that hold what follows from gradients that come in."""
        for step in lowering.steps:
            if isinstance(step, Call):
                self._note(step.name, references((step.args, step.kwargs)))
            else:
                self._note(step.buffer.name, _names([step.expr]))

    def run(self) -> Partition:
        """Places every reduction, then every store, then orders kernels and calls."""
        for store in list(self.waiting):
            for node in self._reductions(store.expr):
                self._place_reduction(node)
        while self.waiting:
            self._place_store(self.waiting.pop(0))
        self.kernels = [kernel for kernel in self.kernels if kernel.stores]
        for number, kernel in enumerate(self.kernels):
            kernel.name = f"kernel_{number}"
        self.order = self._sorted()
        return self

    def _note(self, name: str, reads: Iterable[str]) -> None:
        if self._is_backward(reads):
            self._backward.add(name)

    def _is_backward(self, reads: Iterable[str]) -> bool:
        """Whether what reads these buffers can only be computed on the way back."""
        return not self._backward.isdisjoint(reads)

    def _now(self, expr: Expr, within: Kernel | None = None) -> Expr:
        """The expression with everything that was cut or regrouped exchanged; not what a kernel writes itself, as it
        looks from `within` it."""
        swap = {node: node for node in self.home} | self.exchanged  # what has a home must stay what it is
        for value in self._written.get(within, ()) if within else ():
            swap.pop(value)
            swap |= {value: value} if value in self.home else {}
        while (after := self.interner.intern([expr], swap)[0]) is not expr:
            expr = after  # what was exchanged may contain, or now be part of, something else that was
        return expr

    def _place_reduction(self, original: Swept) -> None:
        node = self._now(original)
        if not isinstance(node, Swept) or node in self.home:
            return
        inner = [] if node in self.attentions else self._reductions(node.operand)
        alone = is_product(node)
        self._unite(inner)
        if not alone and self._at_home(original, node, inner):
            return
        if not self._cut_before(node, inner):
            for dependency in inner:
                self._cut(dependency)
        node_now = self._now(original)
        assert isinstance(node_now, Swept)
        if made := [each for each in self._reductions(node_now)[:-1] if each not in self.home]:  # by cutting
            for each in (*made, original):
                self._place_reduction(each)
            return
        if inner and not alone and self._at_home(original, node_now, self._reductions(node_now.operand)):
            return
        over = frozenset(node_now.axes)
        kernel = self.home[node_now] = self._new_kernel(node_now, node_now.free - over, over)
        if alone:
            self.products.add(kernel)

    def _at_home(self, original: Swept, node: Swept, inner: Sequence[Swept]) -> bool:
        """Has the last kernel that can compute a reduction do so; whether there is one."""
        for kernel in reversed(self.kernels):
            regrouped = self._as_part_of(node, inner, kernel)
            if regrouped is None or not (inner or self._shares_memory(regrouped, kernel)):
                continue
            new = [part for part in self._reductions(regrouped) if part not in self.home]
            self.home |= dict.fromkeys(new, kernel)
            if self._joins(regrouped, kernel):
                if regrouped is not node:
                    self.exchanged[original] = self.exchanged[node] = regrouped
                return True
            for part in new:
                del self.home[part]
        return False

    def _unite(self, inner: Sequence[Swept]) -> None:
        """Makes one kernel of those that compute these reductions, where they go over the same axes: what needs them
        all need not read again what they have read."""
        homes = list(dict.fromkeys(self.home[dep] for dep in inner))
        if len(homes) < 2 or len({(kernel.kept, kernel.reduced) for kernel in homes}) > 1:
            return
        if any(is_ordered(dep) for dep in inner) or len(self._directions(homes)) > 1 or self.products & set(homes):
            return
        self._merge(homes)

    def _merge(self, homes: Sequence[Kernel]) -> None:
        """Makes one kernel of several, unless it would then wait for itself or go both forward and back."""
        if len({self._is_backward(self.reads[kernel]) for kernel in homes}) > 1:
            return
        first, *others = homes
        before = self.kernels, self.home, self.makers, self.reads[first]
        self.kernels = [kernel for kernel in self.kernels if kernel not in others]
        self.home = {node: first if kernel in others else kernel for node, kernel in self.home.items()}
        self.makers = {name: first if maker in others else maker for name, maker in self.makers.items()}
        self.reads[first] = self.reads[first] | {n: b for kernel in others for n, b in self.reads[kernel].items()}
        if self._waits_for_itself(first):
            self.kernels, self.home, self.makers, self.reads[first] = before
            return
        for kernel in others:
            first.reduced |= kernel.reduced
            first.stores += kernel.stores
            self._written.setdefault(first, []).extend(self._written.pop(kernel, []))
            del self.reads[kernel]

    def _new_kernel(self, expr: Expr, kept: frozenset[Axis], reduced: frozenset[Axis]) -> Kernel:
        kernel = Kernel("", kept, reduced)
        self.kernels.append(kernel)
        self.reads[kernel] = {buffer.name: buffer for buffer in buffers([expr])}
        return kernel

    def _directions(self, kernels: Sequence[Kernel]) -> set[bool]:
        """Which ways (backward?) the kernels' running results go."""
        return {node.backward for node, home in self.home.items() if isinstance(node, Scan) and home in kernels}

    def _as_part_of(self, node: Swept, inner: Sequence[Swept], kernel: Kernel) -> Expr | None:
        """The reduction in a form that the kernel can compute, or None."""
        over, kept, reduced = frozenset(node.axes), kernel.kept, kernel.reduced
        if kernel in self.products or is_ordered(node):  # and the kernel's axes may have another order
            return None
        if not reduced or any(self.home[dep] is not kernel or self._final(dep, kernel) for dep in inner):
            return None
        if isinstance(node, Scan):
            same = (over, node.free - over) == (reduced, kept) and self._directions([kernel]) <= {node.backward}
            return node if same else None
        if (over, node.free) == (reduced, kept):
            return node
        if self._sums_columns and (over, node.free) == (kept, reduced) and is_sum_of_columns(node):
            return node
        if not self._combines_rows:
            return None
        if kept and over == kept and node.operand.free <= kept:
            return node
        if kept and inner and over == kept | reduced and node.op in JOINABLE:
            rows = Reduce(node.dtype, node.op, node.operand, tuple(axis for axis in node.axes if axis in reduced))
            columns = Reduce(node.dtype, node.op, rows, tuple(axis for axis in node.axes if axis in kept))
            return self.interner.intern([columns])[0]
        return None

    @staticmethod
    def _final(node: Swept, kernel: Kernel) -> bool:
        """Whether the reduction is known only when all rows are done."""
        return bool(kernel.kept) and frozenset(node.axes) == kernel.kept

    def _place_store(self, store: Store) -> None:
        if self._shares_left:
            self._unite_products(store)
        self._cut_all_but_last_product(store)
        self._unite(self._reductions(self._now(store.expr)))
        if self._joined(store) or (self._cut_all_but_last_home(store) and self._joined(store)):
            return
        for dependency in self._reductions(self._now(store.expr)):
            self._cut(dependency)
        expr = self._now(store.expr)
        kernel = self._new_kernel(expr, frozenset(store.buffer.axes), frozenset())
        kernel.stores.append(Store(store.buffer, expr))
        self.makers[store.buffer.name] = kernel

    def _joined(self, store: Store) -> bool:
        """Has the last kernel that can compute the store do so; whether there is one."""
        expr, name = self._now(store.expr), store.buffer.name
        read = _names([expr])
        for kernel in reversed(self.kernels):
            reads_own = any(self.makers.get(each) is kernel for each in read)
            here = self._now(store.expr, kernel) if reads_own else expr
            needs = self._reductions(here)
            if not self._store_fits(store.buffer, needs, kernel) or not (needs or self._shares_memory(here, kernel)):
                continue
            self.makers[name] = kernel
            if self._joins(here, kernel):
                kernel.stores.append(Store(store.buffer, here))
                return True
            self.makers[name] = store
        return False

    def _cut_all_but_last_home(self, store: Store) -> bool:
        """Has what other kernels than the last reduce for a store come from memory; whether there are such."""
        found = False
        while True:
            inner = self._reductions(self._now(store.expr))
            homes = sorted({self.home[dep] for dep in inner}, key=self.kernels.index)
            if len(homes) < 2:
                return found
            found = True
            self._cut(next(dep for dep in reversed(inner) if self.home[dep] is not homes[-1]))

    def _unite_products(self, store: Store) -> None:
        """Makes one kernel of products that meet in a store: of the same left side, or added up and wanted by nobody
        else."""
        expr = self._now(store.expr)
        homes = list(dict.fromkeys(self.home[dep] for dep in self._reductions(expr)))
        if len(homes) > 1 and {kernel.kept for kernel in homes} == {frozenset(store.buffer.axes)}:
            together = [*(each for kernel in homes for each in kernel.stores), Store(store.buffer, expr)]
            found = product(together)
            if found is not None and (not found.added or self._only_wants(store, homes)):
                self._merge(homes)

    def _only_wants(self, store: Store, homes: Sequence[Kernel]) -> bool:
        """Whether nothing but this store needs what kernels find, and it goes the way that they go."""
        others = {self.home.get(dep) for other in self.waiting for dep in self._reductions(self._now(other.expr))}
        ways = {self._is_backward(reads) for reads in (_names([store.expr]), *map(self.reads.__getitem__, homes))}
        return len(ways) == 1 and not any(kernel.stores or kernel in others for kernel in homes)

    def _cut_all_but_last_product(self, store: Store) -> None:
        """A product's kernel computes nothing else but what is elementwise in its results, so that the rest of what a
        store needs must come from memory."""
        inner = self._reductions(self._now(store.expr))
        products = [kernel for kernel in self.kernels if kernel in self.products & {self.home[dep] for dep in inner}]
        for dependency in inner if products else ():
            if self.home[dependency] is not products[-1]:
                self._cut(dependency)

    def _store_fits(self, buffer: Buffer, inner: Sequence[Swept], kernel: Kernel) -> bool:
        if any(self.home.get(dep) is not kernel for dep in inner):  # without a home where it is seen from elsewhere
            return False
        swept = frozenset(buffer.axes)
        if kernel in self.products:
            return bool(inner) and swept == kernel.kept
        if final := [dep for dep in inner if self._final(dep, kernel)]:
            return all(dep.free == swept for dep in final)
        if swept == kernel.kept | kernel.reduced:
            return True
        return bool(inner) and swept == kernel.kept

    def _shares_memory(self, expr: Expr, kernel: Kernel) -> bool:
        """Whether computing `expr` in the kernel saves reading a tensor again."""
        return any(buffer.axes and buffer.name in self.reads[kernel] for buffer in buffers([expr]))

    def _joins(self, expr: Expr, kernel: Kernel) -> bool:
        """Lets the kernel compute `expr` too, unless it would then wait for itself or go both forward and back."""
        before, read = self.reads[kernel], {buffer.name: buffer for buffer in buffers([expr])}
        if self._is_backward(read) != self._is_backward(before):
            return False
        self.reads[kernel] = before | read
        if not self._waits_for_itself(kernel):
            return True
        self.reads[kernel] = before
        return False

    def _reductions(self, expr: Expr) -> list[Swept]:
        """The reductions that an expression needs, but those inside of an attention, which has them to itself."""
        return [node for node in walk([expr], self.attentions) if isinstance(node, Swept)]

    def _cut(self, node: Swept) -> None:
        """Has the reduction's kernel write it to memory, and everybody else read it from there."""
        if node not in self.exchanged:
            self._write(node, self.home[node])

    def _cut_before(self, node: Swept, inner: Sequence[Swept]) -> bool:
        """Has the one kernel that computes all that is combined, a number a row, write that number rather than what it
        is made of; whether that can be."""
        value, homes = node.operand, {self.home[dep] for dep in inner}
        if len(homes) != 1 or not value.dtype.startswith("float") or any(dep in self.exchanged for dep in inner):
            return False
        (kernel,) = homes
        if kernel in self.products or value.free != kernel.kept or any(self._final(dep, kernel) for dep in inner):
            return False
        if not self._joins(value, kernel):
            return False
        self._write(value, kernel)
        return True

    def _write(self, value: Expr, kernel: Kernel) -> None:
        """Has a kernel write a number a row to memory, and everybody else read it from there."""
        axes = in_memory_order(value)
        buffer = Buffer(f"part_{len(self.parts)}", value.dtype, tuple((axis,) for axis in axes))
        self.parts.append(buffer)
        self._note(buffer.name, _names([value]))
        kernel.stores.append(Store(buffer, value))
        self.makers[buffer.name] = kernel
        self._written.setdefault(kernel, []).append(value)
        self.exchanged[value] = cast(
            Load(dtypes.compute(value.dtype), buffer, tuple(Term(axis) for axis in axes)), value.dtype
        )

    def _needs(self, node: Node) -> list[Node]:
        """The kernels, calls and unplaced stores whose results a node uses."""
        extra: list[Node] = []
        if isinstance(node, Call):
            names = references((node.args, node.kwargs))
        elif isinstance(node, Kernel):
            names = list(self.reads[node])
        else:
            expr = self._now(node.expr)
            names = [buffer.name for buffer in buffers([expr])]
            extra = [self.home[part] for part in self._reductions(expr) if part in self.home]
        return [self.makers[name] for name in names if name in self.makers] + extra

    def _waits_for_itself(self, kernel: Kernel) -> bool:
        stack, seen = self._needs(kernel), set[Node]()
        while stack:
            node = stack.pop()
            if node is kernel:
                return True
            if node not in seen:
                seen.add(node)
                stack += self._needs(node)
        return False

    def _sorted(self) -> list[Kernel | Call]:
        """Kernels and calls in an order that respects needs."""
        done: dict[Node, None] = {}
        last_first: list[Node] = [*reversed(self.kernels), *reversed(self.calls)]
        stack: list[tuple[Node, bool]] = [(node, False) for node in last_first]
        while stack:
            node, ready = stack.pop()
            if ready:
                done[node] = None
            elif node not in done:
                stack.append((node, True))
                stack += [(need, False) for need in self._needs(node) if need not in done]
        return [node for node in done if not isinstance(node, Store)]


def _names(exprs: Sequence[Expr]) -> list[str]:
    return [buffer.name for buffer in buffers(exprs)]
