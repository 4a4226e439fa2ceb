"""Expressions are made here, so that the same few simplifications hold everywhere."""

from __future__ import annotations

from kernelwright.proposers.catalogue.ir import (
    Apply,
    Axis,
    Const,
    Expr,
    Iota,
    Load,
    Reduce,
    Size,
    Tensor,
    Term,
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
    return Apply(operands[-1].dtype, op, operands)


def _neutral(op: str, value: Const, on_the_right: bool) -> bool:
    if op == "mul":
        return value.value == 1
    if op == "div":
        return value.value == 1 and on_the_right
    if op == "add":
        return value.value == 0 and value.dtype in ("int32", "int64")  # -0.0 + 0.0 is 0.0
    return op == "sub" and value.value == 0 and on_the_right and not isinstance(value.value, bool)


def reduce(op: str, operand: Expr, axes: tuple[Axis, ...]) -> Expr:
    """A reduction; over no axis it is the operand itself."""
    if not resolved(axes):
        return const(0, "int64") if op.startswith("arg") else operand
    return Reduce("int64" if op.startswith("arg") else operand.dtype, op, operand, axes)


def count(axes: tuple[Axis, ...], dtype: str) -> Expr:
    """The number of positions along `axes`."""
    return cast(Size("int64", axes), dtype) if resolved(axes) else const(1, dtype)


def substitute(expr: Expr, axis: Axis, at: Expr | Axis) -> Expr:
    """The value at a computed position along one (unsplit) axis, or along another axis instead of it."""
    position = Iota("int64", at) if isinstance(at, Axis) else at
    done: dict[int, Expr] = {}

    def go(node: Expr) -> Expr:
        if id(node) not in done:
            done[id(node)] = rebuilt(node)
        return done[id(node)]

    def rebuilt(node: Expr) -> Expr:
        match node:
            case Iota() if axis in node.axis.resolve():
                return position if node.axis.resolve() == (axis,) else go(row_major((node.axis,)))
            case Load():
                return Load(node.dtype, node.buffer, tuple(leaf for term in node.terms for leaf in placed(term)))
            case Apply():
                operands = tuple(go(arg) for arg in node.operands)
                return apply(node.op, *operands) if _is_sum_of_positions(node) else Apply(node.dtype, node.op, operands)
            case Reduce() if axis not in resolved(node.axes):
                return Reduce(node.dtype, node.op, go(node.operand), node.axes)
        return node

    def placed(term: Term) -> tuple[Term, ...]:
        if term.at is not None:
            return (Term(term.axis, go(term.at)),)
        there = Term(at) if isinstance(at, Axis) else Term(axis, position)
        return tuple(there if leaf is axis else Term(leaf) for leaf in term.axis.resolve())

    return go(expr)


def _is_sum_of_positions(node: Apply) -> bool:
    """Where a 0 that an axis is exchanged for can be left out."""
    return node.dtype == "int64" and node.op in ("add", "sub")


def row_major(axes: tuple[Axis, ...]) -> Expr:
    """The row-major position along several axes together (int64)."""
    total: Expr = const(0, "int64")
    for index, axis in enumerate(resolved(axes)):
        iota: Expr = Iota("int64", axis)
        total = iota if index == 0 else apply("add", apply("mul", total, Size("int64", (axis,))), iota)
    return total


def has_reduction(tensor: Tensor) -> bool:
    """Whether an element combines others."""
    return any(isinstance(node, Reduce) for node in walk([tensor.expr]))


def renamed(tensor: Tensor) -> Tensor:
    """The same tensor over axes of its own."""
    expr = tensor.expr
    fresh: dict[Axis, Axis] = {}
    for axis in tensor.axes:
        fresh[axis] = Axis(axis.size)
        expr = substitute(expr, axis, fresh[axis])
    dims = tuple(tuple(fresh[leaf] for axis in dim for leaf in axis.resolve()) for dim in tensor.dims)
    return Tensor(expr, dims, tensor.dtype)
