"""Once lowering is over and axes no longer change: expressions over final axes, equal ones shared."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

from kernelwright.proposers.catalogue.build import row_major
from kernelwright.proposers.catalogue.ir import (
    Apply,
    Axis,
    Buffer,
    Const,
    Expr,
    Iota,
    Load,
    Reduce,
    Scan,
    Size,
    Term,
    Window,
    resolved,
    walk,
)


class Interner:
    """Rewrites expressions so that equal ones become one object, which makes common subexpressions visible."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Expr] = {}

    def intern(self, roots: Iterable[Expr], replaced: Mapping[Expr, Expr] | None = None) -> list[Expr]:
        """The same expressions over leaf axes and shared; those in `replaced` exchanged on the way."""
        done: dict[Expr, Expr] = {}
        roots = list(roots)
        swap = replaced or {}
        for node in _until(roots, swap):
            done[node] = self._once(self._rewritten(node, done)) if node not in swap else self._once(swap[node])
        return [done[root] for root in roots]

    def _rewritten(self, node: Expr, done: Mapping[Expr, Expr]) -> Expr:
        match node:
            case Iota() if node.axis.resolve() != (node.axis,):
                expanded = row_major((node.axis,))
                return self.intern([expanded])[0]
            case Size():
                return Size(node.dtype, resolved(node.axes))
            case Load():
                terms = (
                    Term(leaf, None if term.at is None else done[term.at])
                    for term in node.terms
                    for leaf in ((term.axis,) if term.at is not None else term.axis.resolve())
                )
                return Load(node.dtype, node.buffer, tuple(terms), node.otherwise)
            case Apply():
                return Apply(node.dtype, node.op, tuple(done[arg] for arg in node.operands))
            case Reduce():
                return Reduce(node.dtype, node.op, done[node.operand], resolved(node.axes))
            case Window():
                return Window(node.dtype, node.op, done[node.operand], node.axes)
            case Scan():
                return Scan(node.dtype, node.op, done[node.operand], resolved(node.axes), node.backward)
        return node

    def _once(self, node: Expr) -> Expr:
        return self._made.setdefault(key(node), node)


def _until(roots: list[Expr], swap: Mapping[Expr, Expr]) -> list[Expr]:
    """`walk` that does not look below what is exchanged."""
    if not swap:
        return walk(roots)
    order: list[Expr] = []
    seen: set[Expr] = set()

    def visit(node: Expr) -> None:
        if node in seen:
            return
        seen.add(node)
        for arg in () if node in swap else node.args:
            visit(arg)
        order.append(node)

    for root in roots:
        visit(root)
    return order


def key(node: Expr) -> Hashable:
    """What makes two expressions with interned operands equal."""
    match node:
        case Const():
            return (node.dtype, repr(node.value))
        case Iota():
            return (Iota, node.axis)
        case Size():
            return (Size, node.dtype, node.axes)
        case Load():
            other = None if node.otherwise is None else repr(node.otherwise.value)
            return (node.dtype, node.buffer, tuple((term.axis, term.at) for term in node.terms), other)
        case Apply():
            return (node.dtype, node.op, node.operands)
        case Reduce():
            return (node.dtype, node.op, node.operand, node.axes)
        case Window():
            return (Window, node.dtype, node.op, node.operand, node.axes)
        case Scan():
            return (Scan, node.dtype, node.op, node.operand, node.axes, node.backward)
    raise TypeError(type(node).__name__)


def buffers(roots: Iterable[Expr]) -> list[Buffer]:
    """The buffers that expressions read, in order of first use."""
    return list(dict.fromkeys(node.buffer for node in walk(roots) if isinstance(node, Load)))


def domain(expr: Expr) -> frozenset[Axis]:
    """The axes over which an expression is swept: those it depends on and, for a reduction, those it combines."""
    return expr.operand.free | frozenset(expr.axes) if isinstance(expr, Reduce) else expr.free


def in_memory_order(node: Expr) -> tuple[Axis, ...]:
    """The axes that a value goes along, in the order in which the buffers it reads have them."""
    order = [axis for buffer in buffers([node]) for axis in buffer.axes]
    order += [part.axis for part in walk([node]) if isinstance(part, Iota)]
    known = tuple(axis for axis in dict.fromkeys(order) if axis in node.free)
    return known + tuple(sorted((axis for axis in node.free if axis not in known), key=lambda axis: axis.size))
