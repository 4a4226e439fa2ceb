"""Positions as C++: whole numbers, of which compilers make little as vectors of 64 bits a lane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kernelwright.proposers.catalogue.affine import stride
from kernelwright.proposers.catalogue.ir import Const, Expr

if TYPE_CHECKING:
    from kernelwright.proposers.catalogue.cpp.expressions import Emitter

_FARTHEST = 1 << 20
"""From lane to lane: all lanes together stay within what a distance is cut to."""


def arithmetic(sign: str, operands: Sequence[Expr], texts: Sequence[str]) -> str:
    """An infix operation of whole numbers, in which literals need no type."""
    left, right = (
        str(operand.value) if isinstance(operand, Const) else text
        for operand, text in zip(operands, texts, strict=True)
    )
    if sign == "+" and right.startswith("-"):
        sign, right = "-", right[1:]
    return f"({left} {sign} {right})"


def distance(emitter: Emitter, a: Expr, b: Expr) -> str | None:
    """How far the position a is beyond b, as far as its sign says it, where lanes are evenly apart: one subtraction
    stands for those of all lanes."""
    vector = emitter.names.vector
    left, right = stride(a, vector), stride(b, vector)
    if left is None or right is None or abs(left - right) > _FARTHEST:
        return None
    scalar = emitter.scalar()
    texts = scalar.emit([a, b])
    emitter.lines += scalar.lines
    emitter.names.snippets.add("positions")
    return f"signs<{left - right}>({', '.join(texts)})"
