"""Maps of which a program works on a block of two directions.

Where a tensor is read along another axis than results are written along, the device turns the block around in its own
memory, so that both are whole lines. Where much follows from a position's row alone, it is found once a row.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernelwright.proposers.catalogue.affine import stride
from kernelwright.proposers.catalogue.ir import Apply, Axis, Window, walk
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.triton.expressions import Emitter
from kernelwright.proposers.catalogue.triton.nests import KernelText
from kernelwright.proposers.catalogue.triton.space import Group, Space

_LEAST, _APART = 8, 4
"""Positions along both axes that are worth a block, and how far apart those that are read may lie."""
_LEAST_ROW, _LONGEST_ROW = 64, 512
"""Positions for which a number is worth reading once a row: longer ones have it in a block's few cache lines anyway."""


def rows(nest: Nest) -> tuple[Axis, ...]:
    """The axes of a block's rows, where its columns are what results are written along; none where a program's
    positions follow each other."""
    if nest.kind != "map" or nest.vector is None or nest.vector.size < _LEAST or not nest.parallel:
        return ()
    along = across(nest)
    return (along,) if along is not None else nest.parallel if _pays(nest) else ()


def across(nest: Nest) -> Axis | None:
    """The axis that the largest tensor is read along, if that is another one than results are written along."""
    largest = max((load for load in nest.loads if load.terms), key=lambda load: load.buffer.size, default=None)
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


def has_windows(nest: Nest) -> bool:
    """Whether something is combined over a few positions around each."""
    return any(isinstance(node, Window) for node in walk(store.expr for store in nest.stores))


def interpolates(nest: Nest) -> bool:
    """Whether where it reads follows from numbers with a fraction."""
    return any(node.dtype.startswith("float") for node in nest.places)


def _pays(nest: Nest) -> bool:
    """Whether much follows from a position's row alone: places of windows, a division, or numbers that are read once
    a row of some length."""
    assert nest.vector is not None  # the caller has checked
    if interpolates(nest):  # registers hold less of such places than of what is read
        return False
    kept = set(nest.parallel)
    a_row = any(load.free and load.free <= kept for load in nest.loads)
    divides = any(isinstance(node, Apply) and node.op == "div" for node in nest.places)
    return has_windows(nest) or divides or (a_row and _LEAST_ROW <= nest.vector.size <= _LONGEST_ROW)


class PlaneText(KernelText):
    """The text of such a kernel.

    Args:
        nest: what is computed.
        down: the axes of a block's rows.
        cache: the size of the last cache in bytes.
    """

    def __init__(self, nest: Nest, down: tuple[Axis, ...], cache: int) -> None:
        super().__init__(nest, None, cache)
        assert nest.vector is not None  # or there would be no rows
        names = self.space.indices
        rest = tuple(axis for axis in nest.parallel if axis not in down)
        flat = [names[axes[0]] if len(axes) == 1 else "at" for axes in (rest or down, down)]
        self.others = Group(rest, flat[0], "")
        self.rows = Group(down, flat[1], "inside", "[:, None]")
        self.columns = Group((nest.vector,), names[nest.vector], "counts", "[None, :]")
        groups = [group for group in (self.others, self.rows, self.columns) if group.axes]
        self.space = Space(groups, self.sizes, names, self.space.wide)
        self.scope.names.update({"place", "rows", "columns"})

    @property
    def numbers(self) -> Sequence[str]:
        """See `KernelText`."""
        return ("ROWS", "BLOCK")

    def _place(self, body: Emitter) -> None:
        if across(self.nest) is not None:
            body.put("# Read along ROWS, written along BLOCK.")
        body.put(*self._shares(self.space.size(self.rows.axes)))
        if self.others.axes:
            body.put(f"{self.others.flat} = place // (rows * columns)", *self.space.positions(self.others))
        body.put(*self._positions(self.rows, "place // columns % rows", "ROWS"))
        body.put(*self._positions(self.columns, "place % columns", "BLOCK"))

    def _shares(self, rows: str) -> list[str]:
        """Which block is a program's, of so many rows."""
        program = "tl.program_id(0).to(tl.int64)" if self.space.wide else "tl.program_id(0)"
        counts = f"tl.cdiv({rows}, ROWS), tl.cdiv({self.space.size(self.columns.axes)}, BLOCK)"
        return [f"place = {program}", f"rows, columns = {counts}"]
