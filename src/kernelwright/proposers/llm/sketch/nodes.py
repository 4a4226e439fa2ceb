"""What a sketch is made of. Lines are those of the text, from 1; they do not count when sketches are compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias


@dataclass(frozen=True)
class Number:
    """A whole number."""

    value: int


@dataclass(frozen=True)
class Name:
    """A symbol or the variable of a loop."""

    id: str


@dataclass(frozen=True)
class Operation:
    """A sum, difference or product, or the smaller of two."""

    op: Literal["+", "-", "*", "min"]
    left: Expression
    right: Expression


Expression: TypeAlias = Number | Name | Operation


@dataclass(frozen=True)
class Type:
    """Dtype, by torch's name without the prefix, and shape."""

    dtype: str
    dims: tuple[Expression, ...]


@dataclass(frozen=True)
class Symbol:
    """A size with a name; `value` None: it is known only when the kernel runs."""

    name: str
    value: int | None
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Tensor:
    """An input (parameters and buffers too) or an output of the task."""

    role: Literal["input", "output"]
    name: str
    type: Type
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Alloc:
    """A buffer, and the memory that it should stay in. It lives until its block ends."""

    name: str
    type: Type
    memory: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Hint:
    """How a loop is to be run, e.g. `@unroll(4)`."""

    name: str
    argument: int | None = None


@dataclass(frozen=True)
class Loop:
    """A loop over tiles: its variable takes start, start + step, … below stop. `tail` says that the last tile may be
    smaller, and that the kernel takes care of it."""

    variable: str
    start: Expression
    stop: Expression
    step: Expression
    tail: bool
    hints: tuple[Hint, ...]
    body: tuple[Statement, ...]
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Whole:
    """All of a dimension: `:`."""


@dataclass(frozen=True)
class Somewhere:
    """One place in a dimension, which the data decide: `?`."""


@dataclass(frozen=True)
class At:
    """One place in a dimension."""

    place: Expression


@dataclass(frozen=True)
class Span:
    """The places of a dimension from `start` to before `stop`."""

    start: Expression
    stop: Expression


Index: TypeAlias = Whole | Somewhere | At | Span


@dataclass(frozen=True)
class Region:
    """A part of a tensor. Dimensions with one place are not in its shape."""

    tensor: str
    indices: tuple[Index, ...]


@dataclass(frozen=True)
class Load:
    """From a tensor into a buffer. `clip`: parts outside of the tensor are left out."""

    buffer: str
    region: Region
    clip: bool
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Store:
    """From a buffer into a tensor."""

    buffer: str
    region: Region
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Compute:
    """What is done with buffers, in words or as a formula."""

    results: tuple[str, ...]
    sources: tuple[str, ...]
    text: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Leave:
    """The innermost loop ends early, where buffers say so, in words or as a formula."""

    sources: tuple[str, ...]
    text: str
    line: int = field(default=0, compare=False)


Statement: TypeAlias = Symbol | Tensor | Alloc | Loop | Load | Store | Compute | Leave


@dataclass(frozen=True)
class Sketch:
    """A whole sketch."""

    name: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class Problem:
    """What is wrong in a line, and what to do about it."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"
