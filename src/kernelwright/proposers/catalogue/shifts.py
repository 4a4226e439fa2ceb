"""Maxima that only keep exponentials small: it does not matter whether they pass NaN on, since the sum of the
exponentials does."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from kernelwright.proposers.catalogue.ir import Apply, Expr, Reduce, Store, walk
from kernelwright.proposers.catalogue.online import exponentials

_ARITHMETIC = frozenset({"add", "sub", "mul", "div", "neg", "exp", "exp_nonpos", "log", "sqrt"})
"""What is NaN where an operand is."""


class _Value(Enum):
    """How a value depends on whether the maximum passes NaN on."""

    SAME = auto()
    NAN = auto()
    """It does not: it is NaN whenever an element of the row is."""
    LOOSE = auto()
    """It may."""


def only_shifts(most: Reduce, stores: Sequence[Store]) -> bool:
    """Whether results are the same if this maximum, taken over numbers only, is one of numbers where some elements are
    NaN."""
    sums = {total for total, found in exponentials(stores).items() if found is most}
    known: dict[Expr, _Value] = {}
    for node in walk(store.expr for store in stores):
        known[node] = _Value.LOOSE if node is most else _Value.NAN if node in sums else _follows(node, known)
    return bool(sums) and all(known[store.expr] is not _Value.LOOSE for store in stores)


def _follows(node: Expr, known: dict[Expr, _Value]) -> _Value:
    values = [known[arg] for arg in node.args]
    if _Value.NAN in values and isinstance(node, Apply) and node.op in _ARITHMETIC:
        return _Value.NAN
    return _Value.LOOSE if _Value.LOOSE in values else _Value.SAME
