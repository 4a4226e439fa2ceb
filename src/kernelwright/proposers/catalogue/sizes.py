"""Where the length of every axis comes from when the candidate runs: from an argument's shape, or fixed by the
computation."""

from __future__ import annotations

from collections.abc import Iterable

from kernelwright.proposers.catalogue.ir import Axis, Buffer, resolved


class Sizes:
    """Names for axes' sizes, given out as the tensors that define them become known.

    State and pinned axes are fixed: a parameter's shape does not change from case to case.
    """

    def __init__(self, fixed: Iterable[Axis]) -> None:
        self._names: dict[Axis, str] = {}
        self.fixed: list[Axis] = []
        self.constants: dict[str, int] = {}
        for axis in resolved(fixed):
            self._fix(axis)

    def _fix(self, axis: Axis) -> None:
        if axis not in self._names:
            self._names[axis] = f"d{len(self._names)}"
            self.constants[self._names[axis]] = axis.size
            self.fixed.append(axis)

    def name(self, axis: Axis) -> str:
        """The name of a leaf axis' size; an axis that no tensor defines keeps its exported size."""
        self._fix(axis)
        return self._names[axis]

    def constant(self, axis: Axis) -> int | None:
        """The size of a leaf axis, where it is the same in every case."""
        return self.constants.get(self.name(axis))

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
