"""What is known of the values of an expression without evaluating it."""

from __future__ import annotations

import math

from kernelwright.proposers.catalogue.ir import Apply, Axis, Const, Expr, Iota, Reduce


def least(expr: Expr) -> float:
    """A bound that no value of the expression is below, NaN aside."""
    match expr:
        case Const():
            return float(expr.value)
        case Apply(op="add", operands=(a, b)):
            return least(a) + least(b)
        case Apply(op="mul", operands=(a, b)):
            if min(least(a), least(b)) >= 0:
                return least(a) * least(b)
            return 0.0 if a is b else -math.inf
        case Apply(op="div", operands=(a, b)):
            return 0.0 if min(least(a), least(b)) >= 0 else -math.inf
        case Apply(op="max", operands=(a, b)):
            return max(least(a), least(b))
        case Apply(op="exp" | "exp_nonpos" | "sigmoid" | "abs" | "sqrt"):
            return 0.0
        case Reduce(op="max", operand=operand):
            return least(operand)
        case Reduce(op="sum", operand=operand):
            return 0.0 if least(operand) >= 0 else -math.inf
    return -math.inf


def slope(at: Expr, axis: Axis) -> int | None:
    """By how much a position grows from one position along an axis to the next, where that is the same everywhere."""
    if axis not in at.free:
        return 0
    match at:
        case Iota():
            return 1
        case Apply(op="add" | "sub" as op, operands=(x, y)):
            a, b = slope(x, axis), slope(y, axis)
            return None if a is None or b is None else a + b if op == "add" else a - b
        case Apply(op="mul", operands=(x, Const(value=by))):
            a = slope(x, axis)
            return None if a is None else a * int(by)
    return None
