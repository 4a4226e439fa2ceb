"""How computed positions move along an axis."""

from __future__ import annotations

from kernelwright.proposers.catalogue.ir import Apply, Axis, Const, Expr, Iota


def stride(at: Expr, axis: Axis | None) -> int | None:
    """How far a position moves from one element of an axis to the next; None where that is not always the same."""
    if axis not in at.free:
        return 0
    match at:
        case Iota():
            return 1
        case Apply(op="add" | "sub" as op, operands=(a, b)):
            left, right = stride(a, axis), stride(b, axis)
            if left is None or right is None:
                return None
            return left + right if op == "add" else left - right
        case Apply(op="mul", operands=(a, Const(value=factor))):
            inner = stride(a, axis)
            return None if inner is None else inner * int(factor)
        case Apply(op="cast", operands=(a,)) if at.dtype.startswith("int") and a.dtype.startswith("int"):
            return stride(a, axis)
    return None


def conjuncts(condition: Expr) -> list[Expr]:
    """What must all be true for a condition to be."""
    if isinstance(condition, Apply) and condition.op == "and":
        return [part for operand in condition.operands for part in conjuncts(operand)]
    return [condition]
