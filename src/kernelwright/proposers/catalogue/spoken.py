"""Expressions as comments."""

from __future__ import annotations

from kernelwright.proposers.catalogue.ir import Apply, Const, Expr, Iota, Load, Reduce, Scan, Size, Window

_SIGN = {"add": "+", "sub": "-", "mul": "*", "div": "/"}


def spoken(expr: Expr, depth: int = 4) -> str:
    """An expression as a short formula for comments."""
    if isinstance(expr, Load):
        return expr.buffer.name
    if isinstance(expr, Const):
        return f"{expr.value:g}"
    if isinstance(expr, Size):
        return "count"
    if isinstance(expr, Iota):
        return "position"
    if isinstance(expr, Window):
        return f"{expr.op} of window({spoken(expr.operand, depth - 1)})" if depth else "…"
    if isinstance(expr, Scan):
        return f"running {expr.op}({spoken(expr.operand, depth - 1)})" if depth else "…"
    if depth == 0:
        return "…"
    if isinstance(expr, Reduce):
        return f"{expr.op}({spoken(expr.operand, depth - 1)})"
    assert isinstance(expr, Apply)
    parts = [spoken(arg, depth - 1) for arg in expr.operands]
    if expr.op in _SIGN:
        return f"({parts[0]} {_SIGN[expr.op]} {parts[1]})"
    return parts[0] if expr.op == "cast" else f"{expr.op}({', '.join(parts)})"
