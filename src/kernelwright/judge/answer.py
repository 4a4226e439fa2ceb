"""Inputs, and what the reference makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kernelwright.judge import numerics, tensors
from kernelwright.judge.memory import Bytes
from kernelwright.judge.tensors import Array
from kernelwright.tasks import CaseInfo, SumsInfo


@dataclass(frozen=True)
class Inputs:
    """One set of inputs: `arguments` as the wire describes them, and the bytes of each tensor among them."""

    arguments: tuple[dict[str, Any], ...]
    data: tuple[Bytes | None, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(item.nbytes for item in self.data if item is not None)

    @property
    def tensors(self) -> list[Any]:
        """What the wire says of each tensor; None for other arguments."""
        return [argument.get("tensor") for argument in self.arguments]

    def nudged(self) -> Inputs:
        """With every floating number a little smaller."""
        columns = zip(self.arguments, self.data, strict=True)
        moved = (None if data is None else tensors.nudged(data, one["tensor"]["dtype"]) for one, data in columns)
        return Inputs(self.arguments, tuple(moved))


@dataclass(frozen=True)
class Expected:
    """One output leaf of the reference, or an argument that it updates in place: what it must be, how exact, and how
    far off a candidate may be.

    `exact` is float64 (the answer computed in it) for floating outputs, else the reference's own value; `alternative`
    is another right answer: for outputs that are not floating the float64 run's choice between near ties, for floating
    ones float64's where the reference overflows (there, `exact` is what the reference gives). `ties` are float64's
    choices where numbers are smaller, or larger, `by` a share of them before they are rounded (0 where none are).
    `value` is set for a plain value, `argument` to the position of an argument that forward leaves changed.
    """

    shape: tuple[int, ...] = ()
    dtype: str = ""
    exact: Array | None = None
    alternative: Array | None = None
    magnitude: Array | None = None
    bound: numerics.Bound | None = None
    value: Any = None
    argument: int | None = None
    ties: tuple[Array, ...] = ()
    by: float = 0.0

    def of_first(self, calls: int) -> Expected:
        """Of outputs stacked over several calls, those of the first ones."""
        exact, other, size = (None if a is None else a[:calls] for a in (self.exact, self.alternative, self.magnitude))
        ties = tuple(choice[:calls] for choice in self.ties)
        return replace(self, exact=exact, alternative=other, ties=ties, magnitude=size)

    def admits(self, other: Expected, times: float = 1.0) -> bool:
        """Whether the answer to other inputs would pass for this one, for each of this one's calls, were so many times
        its bound allowed."""
        if self.exact is None or other.exact is None:
            return (self.exact is None) == (other.exact is None) and bool(self.value == other.value)
        if self.shape != other.shape or not other.exact.size:
            return self.shape == other.shape
        if self.bound is None or self.magnitude is None:
            return bool((self.exact == other.exact).all())
        flat = other.exact.reshape(-1)

        def fetch(start: int, stop: int) -> Array:
            return np.take(flat, np.arange(start, stop), mode="wrap")

        return self.bound.admits(numerics.errors(fetch, str(flat.dtype), self.exact, self.magnitude), times)

    def beside(self, by: float, choices: Sequence[Array | None]) -> Expected:
        """With float64's `choices` where numbers are moved `by` a share of them: those that are of its form, and
        another answer."""
        if not by or self.exact is None or self.bound is not None:
            return self
        form, known = (self.exact.dtype, self.exact.shape), [self.exact]
        for choice in (self.alternative, *choices):
            if choice is not None and (choice.dtype, choice.shape) == form:
                known += [] if any(np.array_equal(choice, other) for other in known) else [choice]
        return replace(self, alternative=None, ties=tuple(known[1:]), by=by)

    @property
    def nbytes(self) -> int:
        """Memory that the right answers take."""
        return sum(array.nbytes for array in (self.exact, self.alternative, *self.ties) if array is not None)

    @property
    def name(self) -> str:
        """What to call it, `{}` being the position of an output."""
        return "output {}" if self.argument is None else f"argument {self.argument}, which forward updates in place"


@dataclass(frozen=True)
class Answer:
    """The reference's answer to one set of inputs, and the float64 state after it (only what forward changes).

    `outputs` ends with the arguments that forward updates in place.
    """

    case: CaseInfo
    name: str
    inputs: Inputs
    outputs: tuple[Expected, ...]
    state: dict[str, Expected] = field(default_factory=dict)
    aliases: bool = False
    """Whether the reference's outputs lie in the memory of its inputs or state; then a candidate's may, too."""

    @property
    def mutated_inputs(self) -> frozenset[int]:
        """The positions of the arguments that forward updates in place."""
        return frozenset(out.argument for out in self.outputs if out.argument is not None)

    @property
    def nbytes(self) -> int:
        """Memory it holds."""
        return self.inputs.nbytes + sum(out.nbytes for out in self.outputs)


def leaves(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """An answer's outputs, then the arguments that forward changed."""
    return [*reply["outputs"], *reply["mutated"]]


def sums_of(case: CaseInfo, found: list[dict[str, Any]]) -> list[SumsInfo]:
    """What is added up for each leaf of an answer: outputs that are tensors in their order, then what forward leaves in
    arguments."""
    outputs = iter(case.sums)
    return [next(outputs, case.left) if "pointer" in leaf and "argument" not in leaf else case.left for leaf in found]


def shape_of(array: Array | None) -> tuple[int, ...] | None:
    """The shape of a leaf's value; None for a plain value."""
    return None if array is None else array.shape


def is_finite(array: Array | None, leaf: dict[str, Any]) -> bool:
    """Whether a leaf's value has no NaN or infinity, as far as it is floating."""
    dtype = str(leaf.get("dtype"))
    return array is None or dtype not in tensors.UNIT_ROUNDOFF or numerics.finite(array, dtype)
