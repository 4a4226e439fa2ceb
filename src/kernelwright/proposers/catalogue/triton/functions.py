"""What a kernel of Triton's is once it is written, and what all of them begin with."""

from __future__ import annotations

import keyword
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod

from kernelwright.proposers.catalogue.ir import Axis, Buffer, Load, Reduce, Size, Window, walk
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.spoken import spoken
from kernelwright.proposers.catalogue.triton.support import KNOWN

WHOLE = 16384
"""Positions that one block may hold: a row that is no longer is read once, and kept in registers."""
_PART, _HELD, _MANY = 8192, 49152, 264
"""Positions of one of the blocks of a longer row, numbers that registers hold of one, and how many rows keep a device
busy."""
_WIDE = 110
TAKEN = frozenset(
    {
        "at",
        "both",
        "exist",
        "r",
        "inside",
        "counts",
        "start",
        "turn",
        "whole",
        "better",
        "tl",
        "ROWS",
        "BLOCK",
        "range",
        "float",
    }
    | {"triton", *KNOWN, *keyword.kwlist}
)


@dataclass(frozen=True)
class Matrix:
    """A tensor of which the device copies tiles by itself, as a parameter of a kernel: the axes of each of its
    dimensions but the last, which has all others, and the names of the numbers that say how long a tile is along each.
    """

    name: str
    buffer: Buffer
    shape: tuple[tuple[Axis, ...], ...]
    blocks: tuple[str, ...]


@dataclass(frozen=True)
class Function:
    """A rendered kernel: its text, its tensors and the axes whose sizes it takes (by name, in order), and the support
    code it uses. `kept` and `combined` are the axes that programs share out, and that each goes along; `matrices` come
    after the tensors."""

    nest: Nest
    text: str
    arguments: tuple[Buffer, ...]
    sizes: dict[str, Axis]
    kept: tuple[Axis, ...]
    combined: tuple[Axis, ...]
    snippets: frozenset[str]
    matrices: tuple[Matrix, ...] = ()


def is_whole(nest: Nest) -> bool:
    """Whether all positions that are combined are held at once."""
    return nest.kind == "rows" and (not one_by_one(nest) or parts(nest) > 1)


def one_by_one(nest: Nest) -> bool:
    """Whether a program has one row, never several: it is too long for one block."""
    return nest.kind == "rows" and padded(combined_axes(nest)) > WHOLE


def parts(nest: Nest) -> int:
    """How many blocks hold a row together that is too long for one of them, where results of its length follow from
    what is found of all of it: in registers of several warps, if there are rows enough for all multiprocessors."""
    along, length = {*combined_axes(nest)}, prod(axis.size for axis in combined_axes(nest))
    rows = prod(axis.size for axis in kept_axes(nest))
    again = any(sweep.stores for sweep in nest.sweeps[1:])
    if nest.kind != "rows" or length <= WHOLE or rows < _MANY or nest.finals or not again:
        return 1
    in_order = any(sweep.scans or sweep.online for sweep in nest.sweeps)
    if in_order or any(node.op.startswith("arg") for sweep in nest.sweeps for node in sweep.reductions):
        return 1
    nodes = walk(root for sweep in nest.sweeps for root in sweep.roots)
    held = sum(along <= node.free for node in nodes if isinstance(node, Load)) * length
    return -(-length // _PART) if held <= _HELD else 1


def by_rows(nest: Nest, programs: int) -> Nest:
    """A map as rows that programs go along block by block, where rows are long, there are enough for so many programs,
    and something is one number a row: it is read and computed once instead of at each position."""
    vector, outer = nest.vector, frozenset(nest.parallel)
    if nest.kind != "map" or vector is None or vector.size <= WHOLE or prod(axis.size for axis in outer) < programs:
        return nest
    nodes = walk(store.expr for store in nest.stores)
    if any(isinstance(node, Window) for node in nodes):
        return nest
    a_row = any(isinstance(node, Load) and node.free and node.free <= outer for node in nodes)
    return replace(nest, kind="rows") if a_row else nest


def kept_axes(nest: Nest) -> tuple[Axis, ...]:
    """The axes that programs share out, outermost first."""
    vector = () if nest.vector is None or nest.kind == "rows" else (nest.vector,)
    return (*nest.parallel, *vector)


def combined_axes(nest: Nest) -> tuple[Axis, ...]:
    """The axes that are combined, outermost first."""
    vector = () if nest.vector is None or nest.kind != "rows" else (nest.vector,)
    return (*nest.inner, *vector)


def padded(axes: Sequence[Axis]) -> int:
    """The power of two that is no less than the number of positions along some axes."""
    return 1 << max(0, prod(axis.size for axis in axes) - 1).bit_length()


def other_axes(nest: Nest) -> list[Axis]:
    """Axes whose sizes may be needed beside the loops': of tensors' dimensions, windows and counts."""
    axes: list[Axis] = []
    for node in walk(store.expr for store in nest.stores):
        if isinstance(node, (Size, Reduce, Window)):
            axes += node.axes
        elif isinstance(node, Load):
            axes += [term.axis for term in node.terms]
    return [*axes, *(axis for store in nest.stores for axis in store.buffer.axes)]


def described(nest: Nest) -> list[str]:
    """Comments: what it computes, and the rewrites that its loops come from."""
    lines = [f"{store.buffer.name} = {spoken(store.expr)}" for store in nest.stores]
    made = textwrap.wrap("; ".join(map(str, nest.rewrites)), _WIDE)
    return [f"# {line if len(line) <= _WIDE else line[: _WIDE - 1] + '…'}" for line in [*lines, *made]]


def heading(name: str, tensors: Iterable[str], constants: Iterable[str]) -> list[str]:
    """The lines that declare a kernel: its tensors first, then what is known when it is compiled."""
    pointers = ", ".join(tensors)
    known = ", ".join(f"{constant}: tl.constexpr" for constant in constants)
    wrapped = [
        line for text in (pointers, known) if text for line in textwrap.wrap(f"{text},", _WIDE, break_long_words=False)
    ]
    return ["@triton.jit", f"def {name}(", *(f"    {line}" for line in wrapped), "):"]
