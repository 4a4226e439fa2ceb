"""Which scores of an attention may have a weight: those that its mask does not turn into minus infinity.

Where a mask does, the weight is 0 whatever the score: it need not be known. So nothing that is NaN or infinite at such
a position, score or value, need come through, where torch's additions and products with 0 would let it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum, auto

from kernelwright.proposers.catalogue.build import apply
from kernelwright.proposers.catalogue.ir import Apply, Const, Expr, Reduce, Scan, walk


class _Known(Enum):
    """What is known of a value at a masked position."""

    LEAST = auto()
    """Minus infinity."""
    ZERO = auto()
    ANY = auto()


def unmasked(weights: Expr, scores: Reduce) -> Expr | None:
    """Which scores may have a weight other than 0; None where that may be any.

    Args:
        weights: a row's weights, made of its scores by elementwise work and reductions over the row.
        scores: the product that gives the scores.
    """
    nodes = walk([weights], {scores})
    masked = {node: condition for node in nodes if (condition := _condition(node, scores)) is not None}
    outermost = {node for node in masked if not any(node in walk(other.args) for other in masked if other is not node)}
    if len(outermost) != 1:
        return None
    (mask,) = outermost
    if any(isinstance(part, (Reduce, Scan)) for part in walk([masked[mask]])):
        return None
    known: dict[Expr, _Known] = {}
    for node in nodes:
        known[node] = _Known.LEAST if node is mask else _known(node, known)
    rows = all(_leaves_out(node, known) for node in nodes if isinstance(node, Reduce) and node is not scores)
    return masked[mask] if rows and known[weights] is _Known.ZERO else None


def _condition(node: Expr, scores: Reduce) -> Expr | None:
    """Where a value is not minus infinity, if it is a score with a mask on it, or with several."""
    if (found := _mask(node)) is None:
        return None
    condition, value = found
    if scores not in walk([value]) or scores in walk([condition]):
        return None
    inner = _condition(value, scores)
    return condition if inner is None else apply("and", inner, condition)


def _mask(node: Expr) -> tuple[Expr, Expr] | None:
    """Where a value is not minus infinity, and what it is there or is added to."""
    match node:
        case Apply(op="where", operands=(condition, value, Const(value=fill))) if fill == -math.inf:
            return condition, value
        case Apply(op="where", operands=(condition, Const(value=fill), value)) if fill == -math.inf:
            return apply("not", condition), value
        case Apply(op="add", operands=(a, b)):
            for value, mask in ((a, b), (b, a)):
                if isinstance(mask, Apply) and mask.op == "where" and (found := _mask(mask)):
                    return found[0], value
    return None


def _known(node: Expr, known: Mapping[Expr, _Known]) -> _Known:
    """What follows for a value from its operands. A row's own results are numbers: rows in which nothing counts are
    left as they are."""
    if not isinstance(node, Apply):
        return _Known.ZERO if isinstance(node, Const) and node.value == 0 else _Known.ANY
    values = [known[arg] for arg in node.operands]
    match node.op, values:
        case "sub", [_Known.LEAST, _]:
            return _Known.LEAST
        case "add", [_Known.LEAST, _] | [_, _Known.LEAST]:
            return _Known.LEAST
        case "mul" | "div", [_Known.LEAST, _] if _is_positive(node.operands[1]):
            return _Known.LEAST
        case "exp" | "exp_nonpos", [_Known.LEAST]:
            return _Known.ZERO
        case "mul", [_Known.ZERO, _] | [_, _Known.ZERO]:
            return _Known.ZERO
        case "div", [_Known.ZERO, _]:
            return _Known.ZERO
        case "where", [_, yes, no] if yes is no:
            return yes
    return _Known.ANY


def _is_positive(node: Expr) -> bool:
    return isinstance(node, Const) and node.value > 0


def _leaves_out(node: Reduce, known: Mapping[Expr, _Known]) -> bool:
    """Whether a masked position changes nothing about a reduction."""
    return known[node.operand] is {"max": _Known.LEAST, "sum": _Known.ZERO}.get(node.op)
