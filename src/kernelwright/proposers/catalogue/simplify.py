"""Rewrites that compute the same with less work: fewer divisions, no logarithm of an exponential, factors out of sums.

Each keeps or improves the accuracy, up to one rounding; those that regroup are not applied where a rounding function
further on would make a large difference of that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from kernelwright.proposers.catalogue.bounds import least
from kernelwright.proposers.catalogue.build import apply, cast, const, count, reduce
from kernelwright.proposers.catalogue.ir import (
    ROUNDING,
    Apply,
    Axis,
    Combined,
    Const,
    Expr,
    Load,
    Reduce,
    Term,
    walk,
)
from kernelwright.proposers.catalogue.products import is_product
from kernelwright.proposers.catalogue.resolve import Interner

Rule = Callable[[Expr], Expr | None]


def simplified(roots: Sequence[Expr], interner: Interner) -> list[Expr]:
    """The same expressions in simpler form, interned."""
    exact = any(isinstance(node, Apply) and (node.op in ROUNDING or _to_integer(node)) for node in walk(roots))
    rules = EXACT if exact else (*EXACT, *REGROUPING)
    done: dict[Expr, Expr] = {}
    for node in walk(roots):
        now = _rebuilt(node, done)
        for rule in rules:
            now = interner.intern([rule(now) or now])[0]
        done[node] = now
    found = [done[root] for root in roots]
    return _shared_exponentials(found if exact else _one_and_tanh(found, interner), interner)


def _shared_exponentials(roots: Sequence[Expr], interner: Interner) -> list[Expr]:
    """sigmoid(x) from e = exp(-|x|) where that is computed anyway, as in a cross-entropy of logits: 1 / (1 + e), or e /
    (1 + e)."""
    swap: dict[Expr, Expr] = {}
    powers = {node.args[0].args[0].args[0]: node for node in walk(roots) if _is_exp_of_minus_magnitude(node)}
    for node in walk(roots):
        if isinstance(node, Apply) and node.op == "sigmoid" and node.operands[0] in powers:
            (x,) = node.operands
            power, one = powers[x], const(1, node.dtype)
            top = apply("where", apply("lt", x, const(0, node.dtype)), power, one)
            swap[node] = apply("div", top, apply("add", power, one))
    return interner.intern(roots, swap)


def _is_exp_of_minus_magnitude(node: Expr) -> bool:
    return _is(node, "exp_nonpos") and _is(node.args[0], "neg") and _is(node.args[0].args[0], "abs")


def _exp_of_negative(node: Expr) -> Expr | None:
    """exp(-|x|) has an argument that is not positive."""
    match node:
        case Apply(op="exp", operands=(Apply(op="neg", operands=(Apply(op="abs"),)) as power,)):
            return apply("exp_nonpos", power)
    return None


def _to_integer(node: Apply) -> bool:
    return node.op == "cast" and node.dtype.startswith("int") and node.operands[0].dtype.startswith("float")


def _rebuilt(node: Expr, done: Mapping[Expr, Expr]) -> Expr:
    match node:
        case Apply():
            return Apply(node.dtype, node.op, tuple(done[arg] for arg in node.operands))
        case Combined():
            return replace(node, operand=done[node.operand])
        case Load():
            terms = tuple(Term(term.axis, None if term.at is None else done[term.at]) for term in node.terms)
            return Load(node.dtype, node.buffer, terms, node.otherwise)
    return node


def _is(node: Expr, op: str) -> bool:
    return isinstance(node, Apply) and node.op == op


def _tanh_of_softplus(node: Expr) -> Expr | None:
    """tanh(log(1 + e)) = (e^2 + 2e) / (e^2 + 2e + 2) with e = exp(x); softplus is x itself beyond a threshold, where
    tanh is 1."""
    match node:
        case Apply(
            op="tanh", operands=(Apply(op="where", operands=(Apply(op="gt") as large, x, Apply(op="log1p") as soft)),)
        ):
            power = soft.operands[0]
            threshold = large.operands[1]
            if not (_is(power, "exp") and power.args[0] is x is large.operands[0] and isinstance(threshold, Const)):
                return None
            if not 10 <= threshold.value <= 40:
                return None
            two = const(2, node.dtype)
            top = apply("mul", power, apply("add", power, two))
            return apply("where", large, const(1, node.dtype), apply("div", top, apply("add", top, two)))
    return None


def _one_and_tanh(roots: Sequence[Expr], interner: Interner) -> list[Expr]:
    """1 + tanh(x) = 2 sigmoid(2x), which loses nothing where tanh comes close to -1; where nothing else needs it."""
    users: dict[Expr, list[Expr]] = {}
    for node in walk(roots):
        for part in dict.fromkeys(node.args):
            if _is(part, "tanh"):
                users.setdefault(part, []).append(node)
    swap: dict[Expr, Expr] = {}
    for tanh, needing in users.items():
        two = const(2, tanh.dtype)
        sums = all(_is(node, "add") and any(_is_one(part) for part in node.args) for node in needing)
        if sums and tanh not in roots:
            sigmoid = apply("sigmoid", apply("mul", tanh.args[0], two))
            swap |= dict.fromkeys(needing, apply("mul", sigmoid, two))
    return interner.intern(roots, swap)


def _is_one(node: Expr) -> bool:
    return isinstance(node, Const) and node.value == 1


def _softmax_of_log_softmax(node: Expr) -> Expr | None:
    """exp(s - log t) = exp(s) / t, where s is what remains after the maximum was taken away."""
    match node:
        case Apply(
            op="exp", operands=(Apply(op="sub", operands=(shifted, Apply(op="log", operands=(Reduce() as total,)))),)
        ):
            if _after_maximum(shifted):
                return apply("mul", apply("exp_nonpos", shifted), apply("div", const(1, node.dtype), total))
    return None


def _log_of_softmax(node: Expr) -> Expr | None:
    """log(exp(s) / t) = s - log t."""
    match node:
        case Apply(
            op="log",
            operands=(Apply(op="mul", operands=(Apply(op="exp_nonpos") as power, Apply(op="div") as inverse)),),
        ):
            one, total = inverse.operands
            if isinstance(one, Const) and one.value == 1:
                return apply("sub", power.operands[0], apply("log", total))
    return None


def _after_maximum(node: Expr) -> bool:
    match node:
        case Apply(op="sub", operands=(value, Reduce(op="max", operand=operand))):
            return operand is value
    return False


def _division_by_row(node: Expr) -> Expr | None:
    """x / s, where s follows from a reduction and is the same along an axis of x: one division a row instead of one an
    element."""
    match node:
        case Apply(op="div", operands=(x, s)) if node.dtype.startswith("float") and s.free < x.free:
            if any(isinstance(part, Reduce) for part in walk([s])):
                return apply("mul", x, apply("div", const(1, node.dtype), s))
    return None


def _factors_out_of_sum(node: Expr) -> Expr | None:
    """sum(a * s) = s * sum(a) where s does not change along the summed axes."""
    if not isinstance(node, Reduce) or node.op != "sum" or not node.dtype.startswith("float"):
        return None
    axes = frozenset(node.axes)
    factors = _factors(node.operand)
    outside = [factor for factor in factors if not factor.free & axes]
    inside = [factor for factor in factors if factor.free & axes]
    if not outside or not inside:
        return None
    if is_product(node) and any(isinstance(part, Reduce) and set(part.axes) == axes for part in walk(outside)):
        return None  # a softmax stays whole: its sums are known before those of the product
    return _product([reduce("sum", _product(inside), node.axes), *outside])


def _sum_of_log_softmax(node: Expr) -> Expr | None:
    """sum(s - log t) = sum(s) - n log t, where s is what remains after the maximum was taken away: both are below zero,
    so nothing cancels."""
    match node:
        case Reduce(op="sum", operand=Apply(op="sub", operands=(shifted, Apply(op="log") as log)), axes=axes):
            if _after_maximum(shifted) and _is_sum_of_exponentials(log.operands[0], shifted, axes):
                total = reduce("sum", shifted, axes)
                return apply("sub", total, apply("mul", count(axes, node.dtype), log))
    return None


def _is_sum_of_exponentials(total: Expr, of: Expr, axes: tuple[Axis, ...]) -> bool:
    match total:
        case Reduce(op="sum", operand=Apply(op="exp" | "exp_nonpos", operands=(x,)), axes=over):
            return x is of and frozenset(over) == frozenset(axes)
    return False


def _maximum_inside(node: Expr) -> Expr | None:
    """max(f(x)) = f(max(x)) where f grows with x."""
    if not isinstance(node, Reduce) or node.op != "max":
        return None
    found = _largest(node.operand, node.axes)
    return None if isinstance(found, Reduce) else found


def _largest(value: Expr, axes: tuple[Axis, ...]) -> Expr:
    """The maximum of what grows with another value: an exponential, a product with a factor that is the same everywhere
    and not negative, a difference to what is the same everywhere."""
    along = frozenset(axes)
    match value:
        case Apply(op="exp" | "exp_nonpos" as op, operands=(x,)):
            return apply(op, _largest(x, axes))
        case Apply(op="sub" as op, operands=(x, fixed)) if x.free & along and not fixed.free & along:
            return apply(op, _largest(x, axes), fixed)
        case Apply(op="mul" as op, operands=(x, fixed)) if (
            x.free & along and not fixed.free & along and least(fixed) >= 0
        ):
            return apply(op, _largest(x, axes), fixed)
    return reduce("max", value, axes)


def _all_least(node: Expr) -> Expr | None:
    """Everything is minus infinity if the maximum is, which is known anyway where a softmax asks."""
    match node:
        case Reduce(op="min", operand=Apply(op="cast", operands=(Apply(op="eq", operands=(x, bound)),))):
            found = apply("eq", _largest(x, node.axes), bound)
        case Reduce(
            op="max",
            operand=Apply(op="cast", operands=(Apply(op="not", operands=(Apply(op="eq", operands=(x, bound)),)),)),
        ):
            found = apply("not", apply("eq", _largest(x, node.axes), bound))
        case _:
            return None
    return cast(found, node.dtype) if isinstance(bound, Const) and bound.value == -math.inf else None


_SAME_WAY = ((2**-10, 1), (1, 2**10))


def _constants_together(node: Expr) -> Expr | None:
    """(x * a) * b = x * (a b), where what x * a overflows or loses is overflown or lost in the end."""
    match node:
        case Apply(op="mul", operands=(Apply(op="mul", operands=(x, Const(value=a))), Const(value=b))):
            small, large = (all(low <= abs(value) <= high for value in (a, b)) for low, high in _SAME_WAY)
            if node.dtype.startswith("float") and (small or large):
                return apply("mul", x, const(a * b, node.dtype))
    return None


def _factors(node: Expr) -> list[Expr]:
    if isinstance(node, Apply) and node.op == "mul":
        return [factor for operand in node.operands for factor in _factors(operand)]
    return [node]


def _product(factors: Sequence[Expr]) -> Expr:
    result = factors[0]
    for factor in factors[1:]:
        result = apply("mul", result, factor)
    return result


EXACT: tuple[Rule, ...] = (_exp_of_negative, _tanh_of_softplus, _softmax_of_log_softmax, _log_of_softmax)
"""What changes no more than a rounding of what it computes."""
REGROUPING: tuple[Rule, ...] = (
    _division_by_row,
    _factors_out_of_sum,
    _sum_of_log_softmax,
    _maximum_inside,
    _all_least,
    _constants_together,
)
"""What regroups factors and sums, of which a rounding function further on would make a large difference."""
