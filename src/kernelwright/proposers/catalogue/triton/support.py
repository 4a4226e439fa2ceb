"""Functions that Triton lacks, as text of kernels' helpers."""

from __future__ import annotations

from collections.abc import Iterable

_TEXTS = {
    "larger": """
def larger(a, b):
    # As torch has it: NaN if one of them is.
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)
""",
    "smaller": """
def smaller(a, b):
    # As torch has it: NaN if one of them is.
    return tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)
""",
    "times": """
def times(a, b):
    return a * b
""",
    "expm1": """
def expm1(x):
    # Near 0, where exp(x) - 1 cancels, the series.
    series = x * (1 + x / 2 * (1 + x / 3 * (1 + x / 4 * (1 + x / 5 * (1 + x / 6 * (1 + x / 7))))))
    return tl.where(tl.abs(x) < 0.4, series, tl.exp(x) - 1)
""",
    "log1p": """
def log1p(x):
    # Near 0, where 1 + x is rounded, the series of atanh.
    s = x / (2 + x)
    q = s * s
    series = 2 * s * (1 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q / 11)))))
    return tl.where(tl.abs(x) < 0.4, series, tl.log(1 + x))
""",
    "erf_and_1": """
def erf_and_1(x):
    # 1 + erf(x), off by 1.5e-7 (Abramowitz and Stegun, 7.1.26): less than 16 bits show.
    t = 1 / (1 + 0.3275911 * tl.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    tail = series * tl.exp(-x * x)
    return tl.where(x < 0, tail, 2 - tail)
""",
    "log10": """
def log10(x):
    return tl.log(x) * 0.4342944819032518
""",
    "tanh": """
def tanh(x):
    # Near 0, where 1 - 2 / (exp(2x) + 1) cancels, by way of expm1.
    e = expm1(2 * tl.abs(x))
    result = tl.where(tl.abs(x) < 10, e / (e + 2), 1.0)
    return tl.where(x < 0, -result, tl.where(x != x, x, result))
""",
    "sinh": """
def sinh(x):
    e = expm1(tl.abs(x))
    result = tl.where(tl.abs(x) < 1, (e + e / (e + 1)) / 2, (tl.exp(tl.abs(x)) - tl.exp(-tl.abs(x))) / 2)
    return tl.where(x < 0, -result, result)
""",
    "cosh": """
def cosh(x):
    return (tl.exp(x) + tl.exp(-x)) / 2
""",
    "tan": """
def tan(x):
    return tl.sin(x) / tl.cos(x)
""",
    "trunc": """
def trunc(x):
    return tl.where(x < 0, tl.ceil(x), tl.floor(x))
""",
    "round": """
def round(x):
    # To the even one of two that are as near.
    low = tl.floor(x)
    up = (x - low > 0.5) | ((x - low == 0.5) & (tl.floor(low / 2) * 2 != low))
    return tl.where(up, low + 1, low)
""",
    "remainder": """
def remainder(x, y):
    return x - tl.floor(x / y) * y
""",
    "fmod": """
def fmod(x, y):
    return x - trunc(x / y) * y
""",
    "pow": """
def pow(x, y):
    # A negative base has a power only for a whole exponent, and a sign for an odd one.
    size = tl.exp2(y * tl.log2(tl.abs(x)))
    size = tl.where(y == 0, 1.0, size)
    whole, odd = tl.floor(y) == y, tl.floor(y / 2) * 2 != y
    return tl.where(x < 0, tl.where(whole, tl.where(odd, -size, size), float("nan")), size)
""",
}
_NEEDS = {"tanh": ("expm1",), "sinh": ("expm1",), "fmod": ("trunc",)}
KNOWN = frozenset(_TEXTS)


def support(names: Iterable[str]) -> str:
    """The helpers of those names, each once, what others need first."""
    wanted = {each for name in names for each in (name, *_NEEDS.get(name, ()))}
    return "\n".join(f"\n@triton.jit{_TEXTS[name]}" for name in _TEXTS if name in wanted)
