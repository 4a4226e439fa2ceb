"""Sizes as they are written in a sketch."""

from __future__ import annotations

from kernelwright.proposers.llm.sketch import nodes


def expression(it: nodes.Expression) -> str:
    """A size as it is written."""
    if isinstance(it, nodes.Number):
        return str(it.value)
    if isinstance(it, nodes.Name):
        return it.id
    if it.op == "min":
        return f"min({expression(it.left)}, {expression(it.right)})"
    left, right = _part(it.left, it.op, left=True), _part(it.right, it.op, left=False)
    return f"{left} {it.op} {right}" if it.op != "*" else f"{left}*{right}"


def _part(it: nodes.Expression, op: str, *, left: bool) -> str:
    """An operand, in parentheses where it would be read in another order."""
    text = expression(it)
    if isinstance(it, nodes.Number | nodes.Name) or it.op == "min":
        return text
    weaker = op == "*" and it.op != "*"
    same = (op == "*") == (it.op == "*")
    return f"({text})" if weaker or (same and not left) else text
