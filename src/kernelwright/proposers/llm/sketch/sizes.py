"""Sizes as polynomials in symbols and loop variables, to decide what fits where not all numbers are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kernelwright.proposers.llm.sketch.nodes import Expression, Name, Number
from kernelwright.proposers.llm.sketch.spell import expression as spelt

_MOST_TERMS, _LARGEST = 64, 10**30
"""Products of sums grow fast, and sketches may be malicious: terms, names in one, and a factor."""


class TooComplicated(Exception):
    """A size has too many terms to reason about."""


@dataclass(frozen=True)
class Size:
    """A sum of products: for each product of names (sorted, a name as often as its power) its factor, never 0."""

    terms: Mapping[tuple[str, ...], int]

    def __add__(self, other: Size) -> Size:
        return _sized({key: self.terms.get(key, 0) + other.terms.get(key, 0) for key in {**self.terms, **other.terms}})

    def __sub__(self, other: Size) -> Size:
        return self + other * number(-1)

    def __mul__(self, other: Size) -> Size:
        product: dict[tuple[str, ...], int] = {}
        for left, factor in self.terms.items():
            for right, by in other.terms.items():
                key = tuple(sorted((*left, *right)))
                product[key] = product.get(key, 0) + factor * by
        return _sized(product)

    @property
    def known(self) -> int | None:
        """The number it is; None where it has names in it."""
        return self.terms.get((), 0) if not self.terms.keys() - {()} else None

    @property
    def open(self) -> bool:
        """Whether it depends on which of two sizes is the smaller, which nobody knows."""
        return any("(" in name for key in self.terms for name in key)

    @property
    def positive(self) -> bool:
        """Whether it is above 0 whatever its names stand for, which is 1 or more."""
        named = (factor for key, factor in self.terms.items() if key)
        return all(factor > 0 for factor in named) and sum(self.terms.values()) > 0

    def divided_by(self, other: Size) -> bool:
        """Whether it surely is a multiple of the other."""
        if len(other.terms) != 1:
            return not self.terms or self.terms == other.terms
        ((names, factor),) = other.terms.items()
        return all(each % factor == 0 and _within(names, key) for key, each in self.terms.items())

    def replaced(self, name: str, low: Size, high: Size) -> Size | None:
        """Its largest value where a name runs from `low` to `high`; None where that cannot be told."""
        factor, rest = _sized({}), _sized({})
        for key, each in self.terms.items():
            if key.count(name) > 1:
                return None
            left = list(key)
            if name in left:
                left.remove(name)
                factor += _sized({tuple(left): each})
            else:
                rest += _sized({key: each})
        if factor.terms and not factor.positive and not (number(0) - factor).positive:
            return None
        return factor * (high if factor.positive else low) + rest


def _within(names: tuple[str, ...], key: tuple[str, ...]) -> bool:
    return all(key.count(name) >= names.count(name) for name in names)


def _sized(terms: Mapping[tuple[str, ...], int]) -> Size:
    kept = {key: factor for key, factor in terms.items() if factor}
    if len(kept) > _MOST_TERMS or any(len(key) > _MOST_TERMS or abs(kept[key]) > _LARGEST for key in kept):
        raise TooComplicated
    return Size(kept)


def _smaller(left: Size, right: Size, written: Expression) -> Size:
    """The smaller of two; where that depends on names it is a name of its own, of which nothing is known."""
    one = number(1)
    if (right - left + one).positive:
        return left
    return right if (left - right + one).positive else _sized({(spelt(written),): 1})


def number(value: int) -> Size:
    """A size that is known."""
    return _sized({(): value})


def size(expression: Expression, values: Mapping[str, int]) -> Size:
    """What an expression stands for, symbols with a value replaced by it.

    Raises:
        TooComplicated: it has too many terms.
    """
    if isinstance(expression, Number):
        return number(expression.value)
    if isinstance(expression, Name):
        return number(values[expression.id]) if expression.id in values else _sized({(expression.id,): 1})
    left, right = size(expression.left, values), size(expression.right, values)
    if expression.op == "min":
        return _smaller(left, right, expression)
    return left * right if expression.op == "*" else left + right if expression.op == "+" else left - right
