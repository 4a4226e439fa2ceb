"""What is known of the values of an expression without evaluating it."""

from __future__ import annotations

import math

from kernelwright.proposers.catalogue.ir import Apply, Const, Expr, Iota, Reduce, Size


def least(expr: Expr) -> float:
    """A bound that no value of the expression is below, NaN aside."""
    match expr:
        case Const():
            return float(expr.value)
        case Iota() | Size():
            return 0.0
        case Reduce(op="max", operand=operand):
            return least(operand)
        case Reduce(op="sum", operand=operand):
            return 0.0 if least(operand) >= 0 else -math.inf
        case Apply(op="cast", operands=(a,)):
            whole = expr.dtype.startswith("int") and least(a) > -math.inf
            return math.floor(least(a)) if whole else least(a)
        case Apply(op="exp" | "exp_nonpos" | "sigmoid" | "abs" | "sqrt"):
            return 0.0
        case Apply(op="where", operands=(_, a, b)):
            return min(least(a), least(b))
        case Apply(operands=(a, b)):
            return _least_of_two(expr.op, a, b)
    return -math.inf


def _least_of_two(op: str, a: Expr, b: Expr) -> float:
    low, high = sorted((least(a), least(b)))
    known = {"add": low + high, "max": high, "min": low}
    if op == "mul":
        return low * high if low >= 0 else 0.0 if a is b else -math.inf
    if op == "div":
        return 0.0 if low >= 0 else -math.inf
    return known.get(op, -math.inf)
