"""What is known of the values of an expression without evaluating it."""

from __future__ import annotations

import math

from kernelwright.proposers.catalogue.ir import Apply, Const, Expr, Reduce


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
