"""Expressions are made here, so that the same few simplifications hold everywhere."""

from __future__ import annotations

import operator

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
    Tensor,
    Term,
    Window,
    resolved,
    walk,
)

COMPARE = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})


def const(value: float | bool, dtype: str) -> Const:
    """A literal of a computing dtype."""
    kind = {"bool": bool, "int32": int, "int64": int}.get(dtype, float)
    return Const(dtype, kind(value))


def cast(expr: Expr, dtype: str) -> Expr:
    """The value converted to another computing dtype."""
    if expr.dtype == dtype:
        return expr
    if isinstance(expr, Const):
        return const(expr.value, dtype)
    return Apply(dtype, "cast", (expr,))


def apply(op: str, *operands: Expr) -> Expr:
    """A scalar function; operands must already have one dtype (`where`: the last two)."""
    if op in COMPARE or op in ("not", "isnan"):
        return Apply("bool", op, operands)
    if op in ("max", "min") and isinstance(operands[0], Const):
        operands = operands[::-1]  # so that limits are on the right
    for value, other in (operands, operands[::-1]) if len(operands) == 2 else ():
        if isinstance(value, Const) and _neutral(op, value, value is operands[1]):
            return other
    if operands[0].dtype == "int64" and len(operands) == 2:
        return _whole_numbers(op, *operands)
    return Apply(operands[-1].dtype, op, operands)


def _whole_numbers(op: str, a: Expr, b: Expr) -> Expr:
    """Arithmetic of positions, with constants brought together on the right."""
    known = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}
    if op in known and isinstance(a, Const) and isinstance(b, Const):
        return const(known[op](a.value, b.value), "int64")
    if op == "sub" and isinstance(b, Const):
        return apply("add", a, const(-b.value, "int64"))
    if op in ("add", "mul") and isinstance(a, Const):
        return apply(op, b, a)
    match op, a, b:
        case "add", _, Const(value=0):
            return a
        case "add", Apply(op="add", operands=(inner, Const() as first)), Const():
            return apply("add", inner, const(first.value + b.value, "int64"))
        case "mul", Apply(op="add", operands=(inner, Const() as first)), Const():
            return apply("add", apply("mul", inner, b), const(first.value * b.value, "int64"))
        case "sub", _, Apply(op="sub", operands=(same, inner)) if alike(a, same):
            return inner
    return Apply("int64", op, (a, b))


def _neutral(op: str, value: Const, on_the_right: bool) -> bool:
    if op == "mul":
        return value.value == 1
    if op == "div":
        return value.value == 1 and on_the_right
    if op == "and":
        return value.value is True
    return op == "sub" and value.value == 0 and on_the_right and not isinstance(value.value, bool)


def reduce(op: str, operand: Expr, axes: tuple[Axis, ...]) -> Expr:
    """A reduction; over no axis it is the operand itself."""
    if not resolved(axes):
        return const(0, "int64") if op.startswith("arg") else operand
    return Reduce("int64" if op.startswith("arg") else operand.dtype, op, operand, axes)


def count(axes: tuple[Axis, ...], dtype: str) -> Expr:
    """The number of positions along `axes`."""
    return cast(Size("int64", axes), dtype) if resolved(axes) else const(1, dtype)


class UnsupportedError(Exception):
    """An operation has no rule for these operands."""


class InMemoryError(Exception):
    """What is asked of an expression can only be had once its values are in memory."""


def substitute(expr: Expr, axis: Axis, at: Expr | Axis, *, guarded: bool = False) -> Expr:
    """The value at a computed position along one (unsplit) axis, or along another axis instead of it.

    Args:
        guarded: the position may lie outside the axis; the value there is any.

    Raises:
        InMemoryError: running results are asked for in another order than they come.
    """
    return _Substitution(axis, at, guarded).of(expr)


class _Substitution:
    """One substitution; what is shared is rebuilt once."""

    def __init__(self, axis: Axis, at: Expr | Axis, guarded: bool) -> None:
        self.axis, self.at, self.guarded = axis, at, guarded
        self.position: Expr = Iota("int64", at) if isinstance(at, Axis) else at
        self._done: dict[int, Expr] = {}

    def of(self, node: Expr) -> Expr:
        if id(node) not in self._done:
            self._done[id(node)] = self._rebuilt(node)
        return self._done[id(node)]

    def _rebuilt(self, node: Expr) -> Expr:
        match node:
            case Iota() if self.axis in node.axis.resolve():
                alone = node.axis.resolve() == (self.axis,)
                return self.position if alone else self.of(row_major((node.axis,)))
            case Load():
                return self._load(node)
            case Apply() if node.dtype == "int64" and node.op != "cast":
                return apply(node.op, *map(self.of, node.operands))
            case Apply():
                return Apply(node.dtype, node.op, tuple(map(self.of, node.operands)))
            case Reduce() if self.axis not in resolved(node.axes):
                return Reduce(node.dtype, node.op, self.of(node.operand), node.axes)
            case Window():
                return Window(node.dtype, node.op, self.of(node.operand), node.axes)
            case Scan() if self.axis in resolved(node.axes):
                return _moved(node, self.axis, self.at)
            case Scan():
                return Scan(node.dtype, node.op, self.of(node.operand), node.axes, node.backward)
        return node

    def _load(self, node: Load) -> Load:
        terms = tuple(leaf for term in node.terms for leaf in self._coordinates(term))
        anywhere = self.guarded and any(_follows(term, self.axis) for term in node.terms)
        otherwise = node.otherwise or (const(0, node.dtype) if anywhere else None)
        return Load(node.dtype, node.buffer, terms, otherwise)

    def _coordinates(self, term: Term) -> tuple[Term, ...]:
        if term.at is not None:
            return (_term(term.axis, self.of(term.at)),)
        there = Term(self.at) if isinstance(self.at, Axis) else _term(self.axis, self.position)
        return tuple(there if leaf is self.axis else Term(leaf) for leaf in term.axis.resolve())


def _follows(term: Term, axis: Axis) -> bool:
    """Whether a coordinate changes with the position along an axis."""
    if term.at is None:
        return axis in term.axis.resolve()
    return any(isinstance(node, Iota) and axis in node.axis.resolve() for node in walk([term.at]))


def _term(axis: Axis, at: Expr) -> Term:
    """A coordinate, computed only where it is not simply the position along the axis."""
    return Term(axis) if isinstance(at, Iota) and at.axis is axis else Term(axis, at)


def _moved(scan: Scan, axis: Axis, at: Expr | Axis) -> Scan:
    """Running results along another axis, from its far end, or beginning some positions later."""
    if resolved(scan.axes) != (axis,):
        raise InMemoryError
    if isinstance(at, Axis):
        return Scan(scan.dtype, scan.op, substitute(scan.operand, axis, at), (at,), scan.backward)
    if alike(at, last_minus(axis)):
        return Scan(scan.dtype, scan.op, substitute(scan.operand, axis, at), (axis,), not scan.backward)
    match at:
        case Apply(op="add", operands=(Iota(axis=new), Const(value=shift))) if shift <= 0 and not scan.backward:
            nothing = const(IDENTITY[scan.op], scan.dtype)
            return Scan(scan.dtype, scan.op, inside(scan.operand, (axis,), at, nothing), (new,))
    raise InMemoryError


def inside(expr: Expr, axes: tuple[Axis, ...], at: Expr, otherwise: Expr) -> Expr:
    """The value at a computed position along the axes of a dimension, and `otherwise` where that is outside it."""
    there = placed(expr, axes, at, guarded=True)
    match expr, there, otherwise:
        case Load(), Load(), Const() if expr.otherwise is None or expr.otherwise.value == otherwise.value:
            changed = [term for term in there.terms if term.at is at]
            if len(changed) == 1 == sum(_follows(term, leaf) for term in expr.terms for leaf in resolved(axes)):
                return Load(there.dtype, there.buffer, there.terms, otherwise)
    within = apply("and", apply("ge", at, const(0, "int64")), apply("lt", at, length(axes)))
    return apply("where", within, there, otherwise)


def placed(expr: Expr, axes: tuple[Axis, ...], at: Expr, *, guarded: bool = False) -> Expr:
    """The value at a computed row-major position along the axes of a dimension. For `guarded` see `substitute`."""
    leaves = resolved(axes)
    if len(leaves) == 1:
        return substitute(expr, leaves[0], at, guarded=guarded)
    for index, axis in enumerate(leaves):
        digit = apply("div", at, length(leaves[index + 1 :]))
        digit = digit if index == 0 else apply("mod", digit, length((axis,)))
        expr = substitute(expr, axis, digit, guarded=guarded)
    return expr


def length(axes: tuple[Axis, ...]) -> Expr:
    """The number of positions along the axes of a dimension (int64)."""
    return Size("int64", axes) if resolved(axes) else const(1, "int64")


def last_minus(axis: Axis) -> Expr:
    """The position along an axis counted from its far end."""
    return apply("sub", apply("sub", Size("int64", (axis,)), const(1, "int64")), Iota("int64", axis))


def alike(a: Expr, b: Expr) -> bool:
    """Whether two expressions of positions are written alike."""
    if a is b:
        return True
    match a, b:
        case Const(), Const():
            return a.value == b.value
        case Iota(), Iota():
            return a.axis.resolve() == b.axis.resolve()
        case Size(), Size():
            return resolved(a.axes) == resolved(b.axes)
        case Apply(), Apply():
            return a.op == b.op and all(alike(x, y) for x, y in zip(a.operands, b.operands, strict=True))
    return False


def row_major(axes: tuple[Axis, ...]) -> Expr:
    """The row-major position along several axes together (int64)."""
    total: Expr = const(0, "int64")
    for index, axis in enumerate(resolved(axes)):
        iota: Expr = Iota("int64", axis)
        total = iota if index == 0 else apply("add", apply("mul", total, Size("int64", (axis,))), iota)
    return total


def has_reduction(tensor: Tensor) -> bool:
    """Whether an element combines others."""
    return any(isinstance(node, (Reduce, Scan)) for node in walk([tensor.expr]))


def renamed(tensor: Tensor) -> Tensor:
    """The same tensor over axes of its own."""
    expr = tensor.expr
    fresh: dict[Axis, Axis] = {}
    for axis in tensor.axes:
        fresh[axis] = Axis(axis.size, Size("int64", (axis,)))
        expr = substitute(expr, axis, fresh[axis])
    dims = tuple(tuple(fresh[leaf] for axis in dim for leaf in axis.resolve()) for dim in tensor.dims)
    return Tensor(expr, dims, tensor.dtype)
