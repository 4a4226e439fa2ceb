"""Weights of an attention that can be found in one sweep along the scores, and where a mask lets them be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kernelwright.proposers.catalogue.build import apply, const
from kernelwright.proposers.catalogue.ir import Apply, Axis, Const, Expr, Iota, Reduce, walk
from kernelwright.proposers.catalogue.products import Product

_LOG2_E = 1 / math.log(2)


@dataclass(frozen=True)
class Softmax:
    """weight = exp(value - most) * share, where `most` is the largest value of a whole row, `share` is the same for all
    of it, and `total` is the sum of the exponentials."""

    value: Expr
    most: Expr
    total: Reduce
    share: Expr


def softmax(weights: Expr, axes: Sequence[Axis]) -> Softmax | None:
    """What weights along these axes are made of; None where they are no softmax.

    Online softmax (Milakov and Gimelshein, 2018) as in FlashAttention (Dao et al., 2022).
    """
    along = frozenset(axes)
    found = _shared(weights, along)
    if found is None:
        return None
    exponential, share = found
    match exponential:
        case Apply(op="exp" | "exp_nonpos", operands=(Apply(op="sub", operands=(value, most)),)):
            pass
        case _:
            return None
    if not _is_largest(most, value, along) or any(_over(node, along) for node in walk([value])):
        return None
    totals = [node for node in walk([share]) if _over(node, along) and isinstance(node, Reduce) and node.op == "sum"]
    if len(totals) != 1 or totals[0].operand is not exponential:
        return None
    # All else that is found along the row must be the maximum, which is known by then as `most`.
    rest = walk([share], {totals[0], most})
    if any(_over(node, along) for node in rest if node not in (totals[0], most)):
        return None
    return Softmax(value, most, totals[0], share)


def reach(counts: Expr, product: Product) -> int | None:
    """How many keys beyond its own place a row may have weights for, where these are all up to there; None where they
    are others."""
    if len(product.m) != 1 or len(product.k) != 1:
        return None
    match counts:
        case Apply(
            op="le" | "lt" as op, operands=(Apply(op="sub", operands=(Iota() as a, Iota() as b)), Const() as most)
        ):
            beyond = int(most.value)
        case Apply("bool", "le" | "lt" as op, (Iota() as a, Iota() as b)):
            beyond = 0
        case _:
            return None
    return beyond - (op == "lt") if (a.axis, b.axis) == (*product.k, *product.m) else None


def _is_largest(most: Expr, value: Expr, along: frozenset[Axis]) -> bool:
    """Whether a number is the maximum of a value along a row, or a maximum that is scaled as the value is."""
    match most, value:
        case Reduce(op="max", operand=operand, axes=axes), _ if operand is value:
            return frozenset(axes) == along
        case Apply("float32", "mul", (largest, Const(value=a))), Apply("float32", "mul", (scores, Const(value=b))):
            return a == b and a > 0 and _is_largest(largest, scores, along)
    return False


def in_twos(value: Expr) -> Expr | None:
    """The exponent of 2 instead of e, since powers of 2 are what the device has; None where it could overflow, as a
    mask of very low numbers would."""
    match value:
        case Apply(op="mul", operands=(Reduce() as scores, Const(value=scale))):
            return apply("mul", scores, const(scale * _LOG2_E, "float32"))
        case Apply(op="add", operands=(scores, mask)) if _is_mask(mask):
            inner = in_twos(scores)
            return None if inner is None else apply("add", inner, mask)
        case Apply(op="where", operands=(condition, scores, Const(value=fill) as least)) if fill == -math.inf:
            inner = in_twos(scores)
            return None if inner is None else apply("where", condition, inner, least)
        case Reduce():
            return apply("mul", value, const(_LOG2_E, "float32"))
    return None


def unmasked(value: Expr, counts: Expr) -> Expr | None:
    """What a value is where the scores count; None where the mask is not all around the rest."""
    match value:
        case Apply(op="add", operands=(scores, mask)) if _is_mask(mask) and mask.args[0] is counts:
            return scores
        case Apply(op="where", operands=(condition, scores, Const(value=fill))) if fill == -math.inf:
            return scores if condition is counts else None
        case Apply(op="mul", operands=(scores, Const() as scale)):
            inner = unmasked(scores, counts)
            return None if inner is None else apply("mul", inner, scale)
    return None


def _is_mask(value: Expr) -> bool:
    """Whether something is 0 or minus infinity."""
    match value:
        case Apply(op="where", operands=(_, Const(value=0), Const(value=fill))):
            return fill == -math.inf
    return False


def _shared(weights: Expr, along: frozenset[Axis]) -> tuple[Expr, Expr] | None:
    """The exponential, and what all of a row's weights have in common."""
    match weights:
        case Apply(op="exp" | "exp_nonpos"):
            return weights, Const("float32", 1.0)
        case Apply(op="mul" | "div" as op, operands=(value, other)) if not other.free & along:
            inner = _shared(value, along)
            return None if inner is None else (inner[0], apply(op, inner[1], other))
        case Apply(op="mul", operands=(other, value)) if not other.free & along:
            inner = _shared(value, along)
            return None if inner is None else (inner[0], apply("mul", other, inner[1]))
        case Apply(op="where", operands=(condition, Const(value=0) as nothing, value)) if not condition.free & along:
            inner = _shared(value, along)
            return None if inner is None else (inner[0], apply("where", condition, nothing, inner[1]))
    return None


def _over(node: Expr, along: frozenset[Axis]) -> bool:
    """Whether a value is found along a whole row of scores."""
    return isinstance(node, Reduce) and bool(frozenset(node.axes) & along)
