"""Torch's dtypes by name: which are computed in what, and what two of them promote to."""

from __future__ import annotations

_CATEGORY = {"bool": 0, "uint8": 1, "int8": 1, "int16": 1, "int32": 1, "int64": 1}
_WIDTH = {"bool": 1, "uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8}
_WIDTH |= {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
_COMPUTE = {"bool": "bool", "int32": "int32", "int64": "int64", "float32": "float32", "float64": "float64"}
_COMPUTE |= {"uint8": "int32", "int8": "int32", "int16": "int32", "float16": "float32", "bfloat16": "float32"}

KNOWN = frozenset(_WIDTH)
"""Dtypes that kernels can load and store."""
NARROW = frozenset({"uint8", "int8", "int16"})
"""Integers that wrap at less than the width they are computed in: loaded, stored and converted, but not computed
with."""


def width(dtype: str) -> int:
    """Bytes an element takes in memory."""
    return _WIDTH[dtype]


def compute(dtype: str) -> str:
    """The type in which values of a dtype are computed."""
    return _COMPUTE[dtype]


def is_float(dtype: str) -> bool:
    """Whether the dtype is a floating-point one."""
    return dtype in _WIDTH and dtype not in _CATEGORY


def category(dtype: str) -> int:
    """0 for bool, 1 for integers, 2 for floating point."""
    return _CATEGORY.get(dtype, 2)


def promote(a: str, b: str) -> str:
    """The dtype that holds values of both, as torch promotes tensors of equal rank."""
    if a == b:
        return a
    if category(a) != category(b):
        return max(a, b, key=category)
    if {a, b} == {"float16", "bfloat16"}:
        return "float32"
    if "uint8" in (a, b) and _WIDTH[a] == _WIDTH[b]:
        return "int16"
    return max(a, b, key=width)
