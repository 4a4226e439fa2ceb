"""Where one program of a kernel works: the positions along each axis of its nest, and which of them exist."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kernelwright.proposers.catalogue.ir import Axis, Buffer

_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Group:
    """Axes that a program goes along as one: `flat` is the position along all of them, outermost first, and `mask` says
    which positions there are. `shape` makes a row or a column of a block of positions."""

    axes: tuple[Axis, ...]
    flat: str
    mask: str
    shape: str = ""


@dataclass
class Space:
    """Names of positions, sizes and masks.

    Args:
        groups: the axes that programs share out or go along.
        sizes: the name of each axis' size.
    """

    groups: Sequence[Group]
    sizes: dict[Axis, str]
    indices: dict[Axis, str] = field(default_factory=dict)
    wide: bool = False
    """Whether some tensor has more elements than 32 bits can count."""

    def size(self, axes: Iterable[Axis]) -> str:
        """Text for the number of positions along some axes."""
        texts = [self.sizes[axis] for axis in axes]
        return " * ".join(texts) or "1"

    def positions(self, group: Group) -> list[str]:
        """Statements that tell the positions along each axis of a group from the flat one."""
        *outer, last = group.axes
        if not outer:
            return []
        lines, inside = [], [last]
        for axis in reversed(outer):
            rest = f"{group.flat} // {bracketed(self.size(inside))}"
            first = axis is outer[0]
            lines.append(f"{self.indices[axis]} = {rest}" + ("" if first else f" % {self.sizes[axis]}"))
            inside.insert(0, axis)
        return [*reversed(lines), f"{self.indices[last]} = {group.flat} % {self.sizes[last]}"]

    def mask(self, axes: Iterable[Axis]) -> str:
        """The condition that positions along some axes exist; empty where they are never beyond."""
        axes = set(axes)
        return " & ".join(group.mask for group in self.groups if group.mask and axes & set(group.axes))

    def offset(self, coordinates: Sequence[tuple[Axis, str]]) -> str:
        """Row-major offset by Horner's rule; a group's axes in a row are one coordinate."""
        text = ""
        for axes, coordinate in self._together(list(coordinates)):
            text = f"{bracketed(text)} * {bracketed(self.size(axes))} + {coordinate}" if text else coordinate
        return text

    def _together(self, coordinates: list[tuple[Axis, str]]) -> list[tuple[tuple[Axis, ...], str]]:
        found: list[tuple[tuple[Axis, ...], str]] = []
        while coordinates:
            group = next((each for each in self.groups if self._begins_with(coordinates, each)), None)
            count = len(group.axes) if group else 1
            taken = tuple(axis for axis, _ in coordinates[:count])
            found.append((taken, group.flat if group else coordinates[0][1]))
            coordinates = coordinates[count:]
        return found

    def _begins_with(self, coordinates: Sequence[tuple[Axis, str]], group: Group) -> bool:
        along = [(axis, self.indices[axis]) for axis in group.axes]
        return bool(along) and list(coordinates[: len(along)]) == along


def bracketed(text: str) -> str:
    """Text in parentheses where it needs them as a factor."""
    bare = text.startswith("(") and text.endswith(")") and "(" not in text[1:] and ")" not in text[:-1]
    return text if bare else f"({text})" if re.search(r" [-+*/%] ", text) else text


def pointer(buffer: Buffer) -> str:
    """The name of the pointer to a buffer's elements."""
    return f"{buffer.name}_ptr"


def is_wide(buffers: Iterable[Buffer]) -> bool:
    """Whether offsets into some buffer do not fit in 32 bits."""
    return any(buffer.size > _LARGEST for buffer in buffers)
