"""Maps that read a tensor along another axis than results are written along: a program works on a block of both axes,
which the device turns around in its own memory, so that both are whole lines."""

from __future__ import annotations

from collections.abc import Sequence

from kernelwright.proposers.catalogue.affine import stride
from kernelwright.proposers.catalogue.ir import Axis, Load, walk
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.triton.expressions import Emitter
from kernelwright.proposers.catalogue.triton.nests import KernelText
from kernelwright.proposers.catalogue.triton.space import Group, Space

_LEAST, _APART = 8, 4
"""Positions along both axes that are worth a block, and how far apart those that are read may lie."""


def across(nest: Nest) -> Axis | None:
    """The axis that the largest tensor is read along, if that is another one than results are written along."""
    if nest.kind != "map" or nest.vector is None or nest.vector.size < _LEAST:
        return None
    loads = [node for node in walk(store.expr for store in nest.stores) if isinstance(node, Load) and node.terms]
    largest = max(loads, key=lambda load: load.buffer.size, default=None)
    if largest is None or nest.vector not in largest.free:
        return None
    last = largest.terms[-1]
    steps = {
        axis: stride(last.at, axis) if last.at else int(axis is last.axis) for axis in (*nest.parallel, nest.vector)
    }
    if steps[nest.vector] != 0:
        return None
    found = [axis for axis in nest.parallel if axis.size >= _LEAST and 0 < (steps[axis] or 0) <= _APART]
    return min(found, key=lambda axis: steps[axis] or 0, default=None)


class TurnedText(KernelText):
    """The text of such a kernel.

    Args:
        nest: what is computed.
        along: the axis that it reads along.
        cache: the size of the last cache in bytes.
    """

    def __init__(self, nest: Nest, along: Axis, cache: int) -> None:
        super().__init__(nest, None, cache)
        assert nest.vector is not None  # or it would not be turned
        names = self.space.indices
        rest = tuple(axis for axis in nest.parallel if axis is not along)
        flat = "at" if len(rest) > 1 else names[rest[0]] if rest else ""
        self.others = Group(rest, flat, "")
        self.sides = [
            (Group((axis,), names[axis], f"({names[axis]} < {self.sizes[axis]})", shape), block)
            for axis, shape, block in ((along, "[:, None]", "ROWS"), (nest.vector, "[None, :]", "BLOCK"))
        ]
        groups = [group for group in (self.others, *(side for side, _ in self.sides)) if group.axes]
        self.space = Space(groups, self.sizes, names, self.space.wide)
        self.scope.names.update({"place", "rows", "columns"})

    @property
    def numbers(self) -> Sequence[str]:
        """See `KernelText`."""
        return ("ROWS", "BLOCK")

    def _place(self, body: Emitter) -> None:
        program = "tl.program_id(0).to(tl.int64)" if self.space.wide else "tl.program_id(0)"
        (rows, _), (columns, _) = self.sides
        counts = [f"tl.cdiv({self.space.size(side.axes)}, {block})" for side, block in self.sides]
        body.put("# Read along ROWS, written along BLOCK.", f"place = {program}")
        body.put(f"rows, columns = {', '.join(counts)}")
        if self.others.axes:
            body.put(f"{self.others.flat} = place // (rows * columns)", *self.space.positions(self.others))
        body.put(
            f"{rows.flat} = place // columns % rows * ROWS + tl.arange(0, ROWS){rows.shape}",
            f"{columns.flat} = place % columns * BLOCK + tl.arange(0, BLOCK){columns.shape}",
        )
