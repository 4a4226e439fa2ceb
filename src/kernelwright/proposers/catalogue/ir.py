"""The catalogue's intermediate representation: scalar expressions over axes, and the program of kernels and library
calls.

Nothing here knows a language. An expression says what one element is, given a position along some axes; a tensor is an
expression with its axes arranged into dimensions; a kernel is a set of expressions to be stored, with the axes it keeps
(one value each) and those it reduces.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any


class Axis:
    """One loop's worth of positions. While a graph is lowered, axes are found equal (`same as`) or split into `parts`.

    Args:
        size: its length in the case that was exported.
        length: how its length follows from those of other axes, where it does (int64).
    """

    __slots__ = ("length", "parts", "size")

    def __init__(self, size: int, length: Expr | None = None) -> None:
        self.size = size
        self.length = length
        self.parts: tuple[Axis, ...] = ()

    def resolve(self) -> tuple[Axis, ...]:
        """The axes that this one stands for today, outermost first."""
        if not self.parts:
            return (self,)
        return tuple(leaf for part in self.parts for leaf in part.resolve())

    def __repr__(self) -> str:
        return f"Axis({self.size})@{id(self) & 0xFFFF:x}"


def resolved(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """The axes that `axes` stand for today, in order."""
    return tuple(leaf for axis in axes for leaf in axis.resolve())


@dataclass(frozen=True, eq=False)
class Buffer:
    """A contiguous tensor in memory: an argument of forward, a parameter, a library call's result or a kernel's.

    `dims` are the axes of each dimension, row-major.
    """

    name: str
    dtype: str
    dims: tuple[tuple[Axis, ...], ...]

    @property
    def axes(self) -> tuple[Axis, ...]:
        """All axes, outermost first."""
        return resolved(axis for dim in self.dims for axis in dim)

    @property
    def size(self) -> int:
        """Elements in the exported case."""
        return prod(axis.size for axis in self.axes)


@dataclass(frozen=True, eq=False)
class Expr:
    """One element's value. `dtype` is the type it is computed in: float32, float64, int32, int64 or bool."""

    dtype: str

    @property
    def args(self) -> tuple[Expr, ...]:
        """The expressions this one is made from."""
        return ()

    @cached_property
    def free(self) -> frozenset[Axis]:
        """The axes on which the value depends (only valid once lowering is over: axes may still split before)."""
        return frozenset().union(*(arg.free for arg in self.args))


@dataclass(frozen=True, eq=False)
class Const(Expr):
    """A literal."""

    value: float | int | bool


@dataclass(frozen=True, eq=False)
class Iota(Expr):
    """The position along an axis (int64)."""

    axis: Axis

    @cached_property
    def free(self) -> frozenset[Axis]:
        """See `Expr.free`."""
        return frozenset(self.axis.resolve())


@dataclass(frozen=True, eq=False)
class Size(Expr):
    """The number of positions along some axes together (int64, known when the kernel runs)."""

    axes: tuple[Axis, ...]


@dataclass(frozen=True, eq=False)
class Term:
    """One coordinate of a load: the position along `axis`, or `at` where that is computed."""

    axis: Axis
    at: Expr | None = None


@dataclass(frozen=True, eq=False)
class Load(Expr):
    """The element of a buffer at the coordinates `terms`, outermost first (row-major).

    With `otherwise`, computed coordinates may lie outside their axes: the value is `otherwise` there.
    """

    buffer: Buffer
    terms: tuple[Term, ...]
    otherwise: Const | None = None

    @property
    def direct(self) -> bool:
        """Whether it reads at positions as they are, and none that is computed."""
        return all(term.at is None for term in self.terms)

    @property
    def args(self) -> tuple[Expr, ...]:
        """See `Expr.args`."""
        return tuple(term.at for term in self.terms if term.at is not None)

    @cached_property
    def free(self) -> frozenset[Axis]:
        """See `Expr.free`."""
        direct = resolved(term.axis for term in self.terms if term.at is None)
        return frozenset(direct).union(*(arg.free for arg in self.args))


@dataclass(frozen=True, eq=False)
class Apply(Expr):
    """A scalar function of its operands.

    `op` is arithmetic (add sub mul div pow min max fmod remainder atan2 neg abs), a comparison (lt le gt ge eq ne),
    logic (and or xor not isnan), whole numbers' `mod`, `where`, `cast` (to `dtype`), one of `ROUNDING` or `COSTLY`,
    sqrt or rsqrt.
    """

    op: str
    operands: tuple[Expr, ...]

    @property
    def args(self) -> tuple[Expr, ...]:
        """See `Expr.args`."""
        return self.operands


@dataclass(frozen=True, eq=False)
class Combined(Expr):
    """`operand` combined by `op` over positions along `axes`."""

    op: str
    operand: Expr
    axes: tuple[Axis, ...]

    @property
    def args(self) -> tuple[Expr, ...]:
        """See `Expr.args`."""
        return (self.operand,)


@dataclass(frozen=True, eq=False)
class Reduce(Combined):
    """`operand` combined over all positions along `axes` by `op`: sum, prod, max, min, argmax or argmin."""

    @cached_property
    def free(self) -> frozenset[Axis]:
        """See `Expr.free`."""
        return self.operand.free - frozenset(resolved(self.axes))

    @property
    def ordered(self) -> bool:
        """Whether it gives a position along several axes, which depends on their order."""
        return self.op.startswith("arg") and len(self.axes) > 1


@dataclass(frozen=True, eq=False)
class Window(Combined):
    """`operand` combined by `op` (sum, prod, max or min) over a few positions along `axes`, whose sizes are fixed: a
    loop inside one element's value, where a `Reduce` is a loop of the kernel."""

    @cached_property
    def free(self) -> frozenset[Axis]:
        """See `Expr.free`."""
        return self.operand.free - frozenset(self.axes)


@dataclass(frozen=True, eq=False)
class Scan(Combined):
    """`operand` combined by `op` (sum, prod, max or min) over all positions along `axes` up to this one, itself
    included; `backward` from this one on."""

    backward: bool = False

    @cached_property
    def free(self) -> frozenset[Axis]:
        """See `Expr.free`."""
        return self.operand.free | frozenset(resolved(self.axes))


IDENTITY: dict[str, float] = {"sum": 0, "prod": 1, "max": -math.inf, "min": math.inf}
"""What changes nothing when it is combined with other values."""
COSTLY = frozenset({
    "exp", "exp_nonpos", "expm1", "log", "log1p", "log2", "log10", "tanh", "sigmoid", "erf", "erfc", "sin", "cos",
    "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "pow", "fmod", "remainder", "atan2",
})  # fmt: skip
"""Functions so dear that their result is better kept than computed again. `exp_nonpos` is `exp` of what is at most
0."""
ROUNDING = frozenset({"floor", "ceil", "trunc", "round", "fmod", "remainder"})
"""Functions that turn the smallest difference of their operand into a large one."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """A lowered tensor: what an element is, how the axes make up the dimensions, and torch's dtype for it."""

    expr: Expr
    dims: tuple[tuple[Axis, ...], ...]
    dtype: str

    @property
    def axes(self) -> tuple[Axis, ...]:
        """All axes, outermost first."""
        return resolved(axis for dim in self.dims for axis in dim)


@dataclass(frozen=True, eq=False)
class Store:
    """What a kernel leaves in memory: `expr` at every position of `buffer`."""

    buffer: Buffer
    expr: Expr


@dataclass(eq=False)
class Kernel:
    """Everything computed in one sweep of loops: axes `kept` have one result a position, axes `reduced` are combined
    away.

    `stores` over both are written while a row is swept, stores over `kept` once a row, stores over no axis or, where
    columns are added up, over `reduced` at the end.
    """

    name: str
    kept: frozenset[Axis]
    reduced: frozenset[Axis]
    stores: list[Store] = field(default_factory=list)

    @property
    def exprs(self) -> tuple[Expr, ...]:
        """The stored expressions."""
        return tuple(store.expr for store in self.stores)


@dataclass(eq=False)
class Call:
    """A torch operation called as it is: `target` with JSON-like arguments as in `GraphNode`; its result is named
    `name`."""

    name: str
    target: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def walk(roots: Iterable[Expr], whole: Container[Expr] = ()) -> list[Expr]:
    """Every expression below `roots`, each once, operands before what uses them; not what is below those in `whole`."""
    order: list[Expr] = []
    seen: set[int] = set()
    stack: list[tuple[Expr, bool]] = [(root, False) for root in reversed(list(roots))]
    while stack:
        expr, ready = stack.pop()
        if ready:
            order.append(expr)
        elif id(expr) not in seen:
            seen.add(id(expr))
            stack.append((expr, True))
            stack.extend((arg, False) for arg in (() if expr in whole else reversed(expr.args)))
    return order
