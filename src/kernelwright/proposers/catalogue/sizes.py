"""Where the length of every axis comes from when the candidate runs: from an argument's shape, or fixed by the
computation."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kernelwright.proposers.catalogue.ir import Apply, Axis, Buffer, Const, Expr, Size, resolved, walk

_PYTHON = {"add": "+", "sub": "-", "mul": "*", "div": "//"}
NAME = re.compile(r"\bd\d+\b")


class Sizes:
    """Names for axes' sizes, given out as the tensors that define them become known.

    State and pinned axes are fixed: a parameter's shape does not change from case to case.
    """

    def __init__(self, fixed: Iterable[Axis]) -> None:
        self._names: dict[Axis, str] = {}
        self.fixed: list[Axis] = []
        self.constants: dict[str, int] = {}
        self.derived: dict[str, str] = {}
        """Names that follow from others, with the Python text that they are defined by."""
        for axis in resolved(fixed):
            self._fix(axis)

    def _fix(self, axis: Axis) -> None:
        if axis not in self._names:
            self._names[axis] = f"d{len(self._names)}"
            self.constants[self._names[axis]] = axis.size
            self.fixed.append(axis)
            for node in walk([axis.length] if axis.length is not None else []):
                for leaf in resolved(node.axes) if isinstance(node, Size) else ():
                    self._fix(leaf)

    def name(self, axis: Axis) -> str:
        """The name of a leaf axis' size; an axis that neither a tensor nor a length defines keeps its exported size."""
        if axis not in self._names and axis.length is not None:
            text = self._python(axis.length)
            self._names[axis] = f"d{len(self._names)}"
            self.derived[self._names[axis]] = text
        self._fix(axis)
        return self._names[axis]

    def constant(self, axis: Axis) -> int | None:
        """The size of a leaf axis, where it is the same in every case."""
        return self.constants.get(self.name(axis))

    def _python(self, expr: Expr) -> str:
        """Python text for a length."""
        match expr:
            case Const():
                return str(expr.value)
            case Size():
                return " * ".join(self.name(axis) for axis in resolved(expr.axes))
            case Apply(op="min", operands=(a, b)):
                return f"min({self._python(a)}, {self._python(b)})"
            case Apply(op=op, operands=(a, b)):
                sides = (f"({text})" if " " in text else text for text in (self._python(a), self._python(b)))
                return f" {_PYTHON[op]} ".join(sides)
        raise TypeError(type(expr).__name__)

    def with_derived(self, lines: Iterable[str]) -> list[str]:
        """The statements, each size that follows from others defined where it is first used."""
        result: list[str] = []
        known: set[str] = set()

        def define(text: str) -> None:
            for name in NAME.findall(text):
                if name in self.derived and name not in known:
                    known.add(name)
                    define(self.derived[name])
                    result.append(f"{name} = {self.derived[name]}")

        for line in lines:
            define(line)
            result.append(line)
        return result

    def define(self, buffer: Buffer, variable: str) -> list[str]:
        """Python statements that define what `variable`, which holds the buffer, tells about sizes not known so far."""
        lines = []
        for index, dim in enumerate(buffer.dims):
            unknown = [axis for axis in resolved(dim) if axis not in self._names]
            for axis in unknown[1:]:
                self._fix(axis)
            if unknown:
                others = [self._names[axis] for axis in resolved(dim) if axis is not unknown[0]]
                self._names[unknown[0]] = f"d{len(self._names)}"
                divisor = f" // ({' * '.join(others)})" if len(others) > 1 else f" // {others[0]}" if others else ""
                lines.append(f"{self._names[unknown[0]]} = {variable}.shape[{index}]{divisor}")
        return lines

    def shape(self, dims: Iterable[Iterable[Axis]]) -> str:
        """Python text for a shape."""
        texts = [" * ".join(self.name(axis) for axis in resolved(dim)) or "1" for dim in dims]
        return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"
