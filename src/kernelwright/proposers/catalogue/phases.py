"""How windows move along one dimension of a convolution, plain or transposed, and what they read there.

Elements of a window that are `period` apart read positions with the same remainder by the stride; so they are counted
as `period` times a turn and the rest. A plain convolution has its input stored apart by remainder; a transposed one has
an output of as many phases as its stride is long, each with the elements of one such rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

from kernelwright.proposers.catalogue.build import UnsupportedError, apply, const, row_major
from kernelwright.proposers.catalogue.ir import Axis, Expr, Tensor
from kernelwright.proposers.catalogue.views import extent
from kernelwright.tasks import GraphNode

Place = tuple[Axis, ...]
"""The axes of a position: none where there is only one."""


@dataclass(frozen=True)
class Dimension(ABC):
    """One spatial dimension of a convolution.

    Attributes:
        length: positions of the input.
        size: positions of the output.
        span: elements of the window.
        step: the stride.
        padding: zeros before the input's first position.
        dilation: the distance between the window's elements.
    """

    length: int
    size: int
    span: int
    step: int
    padding: int
    dilation: int

    @property
    def common(self) -> int:
        """The greatest common divisor of stride and dilation."""
        return gcd(self.step, self.dilation)

    @property
    def period(self) -> int:
        """How far apart elements of the window are that read the same remainder."""
        return self.step // self.common

    @property
    def turns(self) -> int:
        """How many elements of the window read the same remainder, at most."""
        return -(-self.span // self.period)

    @property
    def hop(self) -> int:
        """How many strides the positions that such elements read are apart."""
        return self.dilation // self.common

    @property
    @abstractmethod
    def stored(self) -> tuple[int, int]:
        """How many remainders and positions of the input are stored."""

    @abstractmethod
    def source(self, remainder: Place, place: Place) -> Expr:
        """The input's position that is stored at another; it may be outside the input, where zeros are."""

    @property
    @abstractmethod
    def as_it_is(self) -> bool:
        """Whether that is the input itself."""

    @property
    @abstractmethod
    def count(self) -> int:
        """Positions of the output, of each phase."""

    @abstractmethod
    def meets(self, place: Place, tap: Place, phase: Place) -> tuple[Expr, Expr]:
        """The remainder and the position, as stored, that an element of the window reads for one of the output."""

    def conditions(self, phase: Place, tap: Place, *, zeros: bool) -> list[Expr]:  # noqa: ARG002 - for those that have some
        """What must hold for a phase to have an element; nothing where all have as many, or with `zeros` where an
        element beyond the window is 0."""
        return []


class Plain(Dimension):
    """A convolution that is not transposed."""

    @property
    def stored(self) -> tuple[int, int]:
        """See `Dimension`."""
        return min(self.span, self.period), self.size + (self.turns - 1) * self.hop

    def source(self, remainder: Place, place: Place) -> Expr:
        """See `Dimension`."""
        return self.position(place, remainder)

    @property
    def as_it_is(self) -> bool:
        """See `Dimension`."""
        return self.step == 1 and self.padding == 0

    @property
    def count(self) -> int:
        """See `Dimension`."""
        return self.size

    def meets(self, place: Place, tap: Place, phase: Place) -> tuple[Expr, Expr]:  # noqa: ARG002 - it has no phases
        """See `Dimension`."""
        turn, rest = _divided(row_major(tap), self.period, self.span)
        return rest, plus(row_major(place), times(turn, self.hop))

    def position(self, place: Place, tap: Place) -> Expr:
        """The position that an element of the window reads in the input itself."""
        return plus(times(row_major(place), self.step), times(row_major(tap), self.dilation), -self.padding)


class Transposed(Dimension):
    """A transposed convolution: stride and dilation count positions of the output.

    Position step * q + r of it is position q of phase r. An element t of the window gets there from the input's
    (step * q + r + padding - dilation * t) / step, where that is a whole number: from shift(r) + q - hop * v for the
    elements t = first(r) + period * v. Where stride and dilation have a common divisor, it divides r + padding, or the
    phase has no elements.
    """

    @property
    def stored(self) -> tuple[int, int]:
        """See `Dimension`."""
        low, end = self._reach
        return 1, end - low

    def source(self, remainder: Place, place: Place) -> Expr:  # noqa: ARG002 - there is one
        """See `Dimension`."""
        return plus(row_major(place), self._reach[0])

    @property
    def as_it_is(self) -> bool:
        """See `Dimension`."""
        return self._reach == (0, self.length)

    @property
    def count(self) -> int:
        """See `Dimension`."""
        return -(-self.size // self.step)

    def meets(self, place: Place, tap: Place, phase: Place) -> tuple[Expr, Expr]:
        """See `Dimension`."""
        turn = times(row_major(tap), self.hop)
        at = apply("sub", plus(row_major(place), self._shift(phase)), turn)
        return const(0, "int64"), plus(at, -self._reach[0])

    @property
    def uneven(self) -> bool:
        """Whether some phases have fewer elements than others."""
        return self.span % self.period > 0

    def tap(self, phase: Place, turn: Place) -> Expr:
        """An element of a phase as one of the window; where `uneven`, it may lie beyond."""
        return plus(times(row_major(turn), self.period), self._first(phase))

    def conditions(self, phase: Place, tap: Place, *, zeros: bool) -> list[Expr]:
        """See `Dimension`."""
        beyond = self.uneven and not zeros
        found = [apply("lt", self.tap(phase, tap), const(self.span, "int64"))] if beyond else []
        if self.common > 1:
            _, beside = _divided(self._remainder(phase)[1], self.common, self.step)
            found.append(apply("eq", beside, const(0, "int64")))
        return found

    @property
    def _reach(self) -> tuple[int, int]:
        """The first position of the input that is stored, counted from its own first, and the one after the last."""
        shifts = []
        for phase in range(self.step):
            whole, rest = divmod(phase + self.padding, self.step)
            first = rest // self.common * self._inverse % self.period
            shifts.append(whole + (rest // self.common * self.common - first * self.dilation) // self.step)
        low, high = min(shifts) - (self.turns - 1) * self.hop, max(shifts) + self.count - 1
        return min(0, low), max(self.length - 1, high) + 1

    def _remainder(self, phase: Place) -> tuple[Expr, Expr]:
        """(r + padding) // step and (r + padding) % step for phase r."""
        return _divided(plus(row_major(phase), self.padding), self.step, self.step + self.padding)

    @property
    def _inverse(self) -> int:
        """By what a remainder is multiplied to get the first element that reads it."""
        return pow(self.hop, -1, self.period)

    def _first(self, phase: Place) -> Expr:
        """The first element of a phase."""
        strides, _ = _divided(self._remainder(phase)[1], self.common, self.step)
        limit = (self.period - 1) * self._inverse + 1
        return _divided(times(strides, self._inverse), self.period, limit)[1]

    def _shift(self, phase: Place) -> Expr:
        """Where in the input a phase's first element is read for its first position."""
        whole, rest = self._remainder(phase)
        if self.dilation == 1:
            return whole
        strides, _ = _divided(rest, self.common, self.step)
        distance = apply("sub", times(strides, self.common), times(self._first(phase), self.dilation))
        return plus(whole, apply("div", distance, const(self.step, "int64")))


def dimensions(node: GraphNode, sources: Sequence[Place], weight: Tensor) -> list[Plain] | list[Transposed]:
    """A convolution's spatial dimensions.

    Raises:
        UnsupportedError: the weight has other dimensions.
    """
    _, _, _, steps, paddings, dilations, transposed, *_ = node.args
    sizes = node.outputs[0].shape[2:]
    if len(sizes) != len(steps):
        raise UnsupportedError
    found: list[Any] = []
    for source, size, taps, step, padding, dilation in zip(
        sources, sizes, weight.dims[2:], steps, paddings, dilations, strict=True
    ):
        if transposed:
            found.append(Transposed(extent(source), size, extent(taps), step, padding, dilation))
        else:  # one window does not move
            found.append(Plain(extent(source), size, extent(taps), step if size > 1 else 1, padding, dilation))
    return found


def _divided(at: Expr, by: int, limit: int) -> tuple[Expr, Expr]:
    """A position, which is less than a limit, divided by a number: how often, and what remains."""
    if by == 1:
        return at, const(0, "int64")
    if limit <= by:
        return const(0, "int64"), at
    return apply("div", at, const(by, "int64")), apply("mod", at, const(by, "int64"))


def times(value: Expr, by: int) -> Expr:
    """A position so many times."""
    return const(0, "int64") if by == 0 else apply("mul", value, const(by, "int64"))


def plus(first: Expr, *others: Expr | int) -> Expr:
    """Positions added, constants at the end."""
    total, known = first, 0
    for other in others:
        if isinstance(other, int):
            known += other
        else:
            total = apply("add", total, other)
    return apply("add", total, const(known, "int64"))
