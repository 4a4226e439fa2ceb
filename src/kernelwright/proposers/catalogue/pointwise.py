"""Elementwise core-ATen operations as scalar expressions.

A rule receives the operands (expressions for tensors, plain numbers for attributes) and the computing dtype of the
result.
Definitions follow the operations' documentation in PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kernelwright.proposers.catalogue.build import COMPARE, apply, cast, const
from kernelwright.proposers.catalogue.ir import Const, Expr

Rule = Callable[..., Expr]
_SAME_NAME = [
    "neg",
    "abs",
    "exp",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "sqrt",
    "rsqrt",
    "tanh",
    "sigmoid",
    "erf",
    "erfc",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "asinh",
    "acosh",
    "atanh",
    "floor",
    "ceil",
    "trunc",
    "round",
    "isnan",
]
_TWO = {"mul": "mul", "maximum": "max", "minimum": "min", "atan2": "atan2", "remainder": "remainder"}
_BITWISE = {"bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor"}
_LOGICAL = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor"}


def value(operand: Any, dtype: str) -> Expr:
    """An operand, tensor or number, in a computing dtype."""
    return cast(operand, dtype) if isinstance(operand, Expr) else const(operand, dtype)


def _where(condition: Expr, yes: Any, no: Any, *, dtype: str) -> Expr:
    return apply("where", value(condition, "bool"), value(yes, dtype), value(no, dtype))


def _add(x: Any, y: Any, *, alpha: float = 1, dtype: str) -> Expr:
    return apply("add", value(x, dtype), apply("mul", value(y, dtype), const(alpha, dtype)))


def _sub(x: Any, y: Any, *, alpha: float = 1, dtype: str) -> Expr:
    return apply("sub", value(x, dtype), apply("mul", value(y, dtype), const(alpha, dtype)))


def _div(x: Any, y: Any, *, rounding_mode: str | None = None, dtype: str) -> Expr:
    quotient = apply("div", value(x, dtype), value(y, dtype))
    if rounding_mode == "trunc":
        return apply("trunc", quotient)
    return apply("floor", quotient) if rounding_mode == "floor" else quotient


def _pow(x: Any, y: Any, *, dtype: str) -> Expr:
    base, exponent = value(x, dtype), value(y, dtype)
    if isinstance(exponent, Const) and dtype in ("float32", "float64"):
        known = {0.5: "sqrt", -0.5: "rsqrt"}
        if exponent.value in known:
            return apply(known[float(exponent.value)], base)
        if exponent.value == int(exponent.value) and 1 <= abs(exponent.value) <= 8:
            power = _power(base, abs(int(exponent.value)))
            return power if exponent.value > 0 else apply("div", const(1, dtype), power)
    return apply("pow", base, exponent)


def _power(base: Expr, exponent: int) -> Expr:
    if exponent == 1:
        return base
    half = _power(base, exponent // 2)
    square = apply("mul", half, half)
    return apply("mul", square, base) if exponent % 2 else square


def _fmod(x: Any, y: Any, *, dtype: str) -> Expr:
    return apply("mod" if dtype.startswith("int") else "fmod", value(x, dtype), value(y, dtype))


def _clamp(x: Expr, low: Any = None, high: Any = None, *, dtype: str) -> Expr:
    result = value(x, dtype)
    if low is not None:
        result = apply("max", result, value(low, dtype))
    return result if high is None else apply("min", result, value(high, dtype))


def _relu(x: Expr, *, dtype: str) -> Expr:
    return _clamp(x, 0, dtype=dtype)


def _gelu(x: Expr, *, approximate: str = "none", dtype: str) -> Expr:
    x = value(x, dtype)
    if approximate == "none":
        half = apply("mul", x, const(0.5, dtype))
        erf = apply("erf", apply("mul", x, const(math.sqrt(0.5), dtype)))
        return apply("mul", half, apply("add", erf, const(1, dtype)))
    # 0.5 x (1 + tanh u) is x sigmoid(2u), which loses nothing where tanh comes close to -1.
    cube = apply("mul", apply("mul", x, x), x)
    inner = apply("add", x, apply("mul", cube, const(0.044715, dtype)))
    return apply("mul", x, apply("sigmoid", apply("mul", inner, const(2 * math.sqrt(2 / math.pi), dtype))))


def _silu(x: Expr, *, dtype: str) -> Expr:
    return apply("mul", value(x, dtype), apply("sigmoid", value(x, dtype)))


def _elu(x: Expr, alpha: float = 1, scale: float = 1, input_scale: float = 1, *, dtype: str) -> Expr:
    x = value(x, dtype)
    negative = apply("expm1", apply("mul", x, const(input_scale, dtype)))
    positive = apply("mul", x, const(scale, dtype))
    return _where(
        apply("gt", x, const(0, dtype)), positive, apply("mul", negative, const(alpha * scale, dtype)), dtype=dtype
    )


def _leaky_relu(x: Expr, slope: float = 0.01, *, dtype: str) -> Expr:
    x = value(x, dtype)
    return _where(apply("gt", x, const(0, dtype)), x, apply("mul", x, const(slope, dtype)), dtype=dtype)


def _sign(x: Expr, *, dtype: str) -> Expr:
    x, zero = value(x, dtype), const(0, dtype)
    below = _where(apply("lt", x, zero), -1, 0, dtype=dtype)
    return _where(apply("gt", x, zero), 1, below, dtype=dtype)


def _addcmul(x: Expr, a: Expr, b: Expr, *, value: float = 1, dtype: str, op: str = "mul") -> Expr:
    product = apply(op, apply("mul", cast(a, dtype), const(value, dtype)), cast(b, dtype))
    return apply("add", cast(x, dtype), product)


def _addcdiv(x: Expr, a: Expr, b: Expr, *, value: float = 1, dtype: str) -> Expr:
    return _addcmul(x, a, b, value=value, dtype=dtype, op="div")


def _rsub(x: Expr, y: Any, alpha: float = 1, *, dtype: str) -> Expr:
    return _sub(y, x, alpha=alpha, dtype=dtype)


def _isinf(x: Expr, *, dtype: str) -> Expr:  # noqa: ARG001 (the result is bool whatever it was)
    return apply("eq", apply("abs", x), const(math.inf, x.dtype))


def _same(x: Expr, *_: Any, dtype: str, **__: Any) -> Expr:
    return value(x, dtype)


def _unary(op: str) -> Rule:
    if op == "isnan":
        return lambda x, *, dtype: apply(op, x)  # noqa: ARG005
    return lambda x, *, dtype: apply(op, value(x, dtype))


def _binary(op: str) -> Rule:
    return lambda x, y, *, dtype: apply(op, value(x, dtype), value(y, dtype))


def _logical(op: str) -> Rule:
    return lambda x, y, *, dtype: apply(op, value(x, "bool"), value(y, "bool"))  # noqa: ARG005


RULES: dict[str, Rule] = {
    **{name: _unary(name) for name in _SAME_NAME},
    **{name: _binary(op) for name, op in (_TWO | _BITWISE).items()},
    **{name: _logical(op) for name, op in _LOGICAL.items()},
    **{name: _binary(name) for name in COMPARE},
    "add": _add,
    "sub": _sub,
    "rsub": _rsub,
    "div": _div,
    "pow": _pow,
    "fmod": _fmod,
    "where": _where,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "hardtanh": lambda x, low=-1, high=1, *, dtype: _clamp(x, low, high, dtype=dtype),
    "relu": _relu,
    "gelu": _gelu,
    "silu": _silu,
    "elu": _elu,
    "leaky_relu": _leaky_relu,
    "sign": _sign,
    "square": lambda x, *, dtype: _pow(x, 2, dtype=dtype),
    "reciprocal": lambda x, *, dtype: apply("div", const(1, dtype), value(x, dtype)),
    "addcmul": _addcmul,
    "addcdiv": _addcdiv,
    "isinf": _isinf,
    "logical_not": lambda x, *, dtype: apply("not", value(x, "bool")),  # noqa: ARG005
    "clone": _same,
    "alias": _same,
    "contiguous": _same,
    "lift_fresh_copy": _same,
    "detach": _same,
    "_to_copy": _same,
}
BOOL_ONLY = frozenset({*_BITWISE, "bitwise_not"})
"""Rules that mean something else for integers."""
RULES["bitwise_not"] = RULES["logical_not"]
COMPARISONS = COMPARE
"""Operations computed in their operands' promoted dtype, whatever the result's."""
