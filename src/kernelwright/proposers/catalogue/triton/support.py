"""Functions that Triton lacks, as text of kernels' helpers."""

from __future__ import annotations

from collections.abc import Iterable

_TEXTS = {
    "PRECISION": """
# Float32 as sums of three bfloat16, whose products tensor cores add up: exact to 24 bits but for the smallest ones. The
# interpreter multiplies float32.
PRECISION = tl.constexpr("ieee" if triton.knobs.runtime.interpret else "bf16x6")
""",
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
    "exp_nonpos": """
def exp_nonpos(x):
    # As tl.exp, in two instructions instead of five: what is less than 1.2e-38 becomes 0.
    return tl.exp2(x * 1.4426950408889634)
""",
    "expm1": """
def expm1(x):
    # Near 0, where exp(x) - 1 cancels, the series.
    high = 1 / 24 + x * (1 / 120 + x * (1 / 720 + x * (1 / 5040)))
    series = x + x * x * (1 / 2 + x * (1 / 6 + x * high))
    return tl.where(tl.abs(x) < 0.4, series, tl.exp(x) - 1)
""",
    "log1p": """
def log1p(x):
    # What rounding 1 + x has lost is added again where it shows.
    u = 1 + x
    return tl.log(u) + tl.where(tl.abs(x) < 1, x - (u - 1), 0.0)
""",
    "log1p_to_1": """
def log1p_to_1(x):
    # log(1 + x) for x from 0 to 1, off by 1.3e-7 of it: a polynomial.
    high = 0.12418412 + x * (-0.08244141 + x * (0.041477937 + x * (-0.013407392 + x * 0.0020302138)))
    low = -0.49999982 + x * (0.3333256 + x * (-0.2498727 + x * (0.19890745 + x * (-0.1610568 + x * high))))
    return x + x * x * low
""",
    "erf_and_1": """
def erf_and_1(x):
    # 1 + erf(x) by 1 - erf(|x|) = 2^p(|x|), off by 6e-6 of it down to -4, by less than 3e-10 below: less than 16 bits
    # show.
    y = tl.abs(x)
    high = 0.03403039 + y * (-0.0052633169 + y * (0.00049267214 + y * -2.0748992e-05))
    tail = tl.exp2(y * (-1.6281147 + y * (-0.91692948 + y * (-0.15262082 + y * high))) + 4.7020567e-06)
    return tl.where(x < 0, tail, 2 - tail)
""",
    "sigmoid": """
def sigmoid(x):
    # What the power is off by where it is large is nothing of a number between 0 and 1.
    return 1 / (1 + exp_nonpos(-x))
""",
    "sigmoid_16": """
def sigmoid_16(x):
    # Off by 3e-7, and by 1.2e-6 of itself: less than 16 bits show.
    root = tl.rsqrt(1 + exp_nonpos(-x))
    return root * root
""",
    "tanh_16": """
def tanh_16(x):
    # Off by 1.3e-5 of it: less than 16 bits show. Near 0, where 1 - 2 / (exp(2x) + 1) cancels, the series.
    q = x * x
    series = x + x * (q * (-1 / 3 + q * (2 / 15)))
    root = tl.rsqrt(1 + exp_nonpos(2 * tl.abs(x)))
    size = 1 - 2 * root * root
    return tl.where(tl.abs(x) < 0.25, series, tl.where(x < 0, -size, size))
""",
    "log10": """
def log10(x):
    return tl.log(x) * 0.4342944819032518
""",
    "tanh": """
def tanh(x):
    # Near 0, where 1 - 2 / (exp(2x) + 1) cancels, by way of expm1.
    e = expm1(2 * smaller(tl.abs(x), 20.0))
    result = e / (e + 2)
    return tl.where(x < 0, -result, result)
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
_NEEDS = {
    "sigmoid": ("exp_nonpos",), "sigmoid_16": ("exp_nonpos",), "tanh_16": ("exp_nonpos",),
    "tanh": ("expm1", "smaller"), "sinh": ("expm1",), "fmod": ("trunc",),
}  # fmt: skip
KNOWN = frozenset(_TEXTS)


def support(names: Iterable[str]) -> str:
    """The helpers of those names, each once, what others need first."""
    wanted = {each for name in names for each in (name, *_NEEDS.get(name, ()))}
    texts = [text for name, text in _TEXTS.items() if name in wanted]
    return "\n".join(f"\n@triton.jit{text}" if text.startswith("\ndef ") else f"\n{text}" for text in texts)
