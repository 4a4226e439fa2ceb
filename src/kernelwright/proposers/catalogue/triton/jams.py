"""Maps with windows of which a program makes several results one below the other: windows that overlap read what they
share once (unroll and jam, as compilers have it)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod

from kernelwright.proposers.catalogue.affine import stride
from kernelwright.proposers.catalogue.build import apply, const, substitute
from kernelwright.proposers.catalogue.ir import Axis, Buffer, Expr, Iota, Load, Window, walk
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.resolve import Interner
from kernelwright.proposers.catalogue.triton.expressions import Emitter
from kernelwright.proposers.catalogue.triton.planes import PlaneText
from kernelwright.proposers.catalogue.triton.space import Group, Space, pointer

_SEVERAL = (4, 2)
_MOST_READS = 128
"""Elements of windows that a program's text may name one by one."""
_SHARED = 0.75
"""Share of these, at most, that is left to be read where it pays."""
_LEAST = 8192
"""Results for each multiprocessor that keep it busy where a thread makes several."""


@dataclass(frozen=True)
class Jam:
    """`count` results along `axis` are made at once: what is stored of each, by tensor."""

    axis: Axis
    count: int
    stores: tuple[tuple[Buffer, tuple[Expr, ...]], ...]

    @classmethod
    def of(cls, nest: Nest, multiprocessors: int, fixed: Callable[[Axis], int | None]) -> Jam | None:
        """What a map becomes whose windows overlap along its second innermost loop; None where that does not pay.

        Args:
            nest: the map, a program of which works on rows of all outer loops.
            multiprocessors: of the device.
            fixed: the length where it is the same in all cases.
        """
        axis = nest.parallel[-1]
        windows = [node for node in walk(store.expr for store in nest.stores) if isinstance(node, Window)]
        of_known_size = all(fixed(each) is not None for window in windows for each in window.axes)
        # Of one in another the elements of both would be named.
        nested = any(isinstance(node, Window) for node in walk(window.operand for window in windows))
        results = prod(each.size for each in (*nest.parallel, nest.vector) if each is not None)
        many = results >= _LEAST * multiprocessors
        if not (windows and many and of_known_size and not nested and _follows(nest, axis)):
            return None
        elements = sum(prod(each.size for each in window.axes) for window in windows)
        for count in (each for each in _SEVERAL if each <= axis.size and each * elements <= _MOST_READS):
            jam = cls(axis, count, _jammed(nest, axis, count))
            if jam.pays:
                return jam
        return None

    @property
    def pays(self) -> bool:
        """Whether results share enough of what is read along the axis."""
        first = (results[0] for _, results in self.stores)
        return self._reads(self.exprs) <= _SHARED * self.count * self._reads(first)

    def _reads(self, exprs: Iterable[Expr]) -> int:
        return sum(isinstance(node, Load) and self.axis in node.free for node in walk(exprs))

    @property
    def exprs(self) -> Iterator[Expr]:
        """All that is stored, the first results of all tensors first."""
        for results in zip(*(each for _, each in self.stores), strict=True):
            yield from results


def _follows(nest: Nest, axis: Axis) -> bool:
    """Whether everything is stored along an axis, and read at places that grow with it evenly."""
    places = [term.at for load in nest.loads for term in load.terms if term.at is not None]
    steps = [stride(at, axis) for at in places]
    return all(axis in store.buffer.axes for store in nest.stores) and all(
        step is not None and step >= 0 for step in steps
    )


def _jammed(nest: Nest, axis: Axis, count: int) -> tuple[tuple[Buffer, tuple[Expr, ...]], ...]:
    """Every result of so many, where windows are sums of what they name; equal parts are one."""
    interner, position = Interner(), Iota("int64", axis)
    found = []
    for store in nest.stores:
        moved = (
            substitute(store.expr, axis, apply("add", position, const(place, "int64")), guarded=True)
            for place in range(count)
        )
        found.append((store.buffer, tuple(_spelled_out(each, interner) for each in moved)))
    return tuple(found)


def _spelled_out(expr: Expr, interner: Interner) -> Expr:
    """The same without windows, none of which is in another."""
    (root,) = interner.intern([expr])
    windows = [node for node in walk([root]) if isinstance(node, Window)]
    spelled = interner.intern(_combined(node.op, _elements(node.operand, node.axes)) for node in windows)
    return interner.intern([root], dict(zip(windows, spelled, strict=True)))[0]


def _elements(operand: Expr, axes: tuple[Axis, ...]) -> Iterator[Expr]:
    for places in itertools.product(*(range(axis.size) for axis in axes)):
        element = operand
        for axis, place in zip(axes, places, strict=True):
            element = substitute(element, axis, const(place, "int64"))
        yield element


def _combined(op: str, elements: Iterable[Expr]) -> Expr:
    first, *others = elements
    for other in others:
        first = apply({"sum": "add", "prod": "mul"}.get(op, op), first, other)
    return first


class JamText(PlaneText):
    """The text of such a kernel.

    Args:
        nest: what is computed.
        jam: what of it at once.
        cache: the size of the last cache in bytes.
    """

    def __init__(self, nest: Nest, jam: Jam, cache: int) -> None:
        super().__init__(nest, nest.parallel, cache)
        self.jam = jam
        names, outer = self.space.indices, nest.parallel[:-1]
        self.lines = Group(outer, names[outer[0]] if len(outer) == 1 else "line", "inside")
        # What is read beyond the end for results that are not there is guarded where it is read.
        below = Group((jam.axis,), names[jam.axis], "" if outer else "inside")
        groups = [self.lines, below, self.columns] if outer else [below, self.columns]
        self.space = Space(groups, self.sizes, names, self.space.wide)
        self.scope.names.update({"line", "groups"})

    def _place(self, body: Emitter) -> None:
        jam, first = self.jam, self.space.indices[self.jam.axis]
        total = " * ".join(filter(None, [self.space.size(self.lines.axes) if self.lines.axes else "", "groups"]))
        body.put(
            f"# {jam.count} results along {first} at once.",
            f"groups = tl.cdiv({self.sizes[jam.axis]}, {jam.count})",
            *self._shares(total),
            "at = place // columns % rows * ROWS + tl.arange(0, ROWS)[:, None]",
            f"inside = at < {total}",
            f"{first} = at % groups * {jam.count}",
        )
        if self.lines.axes:
            body.put(f"{self.lines.flat} = at // groups", *self.space.positions(self.lines))
        body.put(*self._positions(self.columns, "place % columns", "BLOCK"))

    def _results(self, body: Emitter) -> None:
        body.count(self.jam.exprs)
        along, size = self.space.indices[self.jam.axis], self.sizes[self.jam.axis]
        for place in range(self.jam.count):
            there = f"({along} + {place})" if place else along
            names = {**self.space.indices, self.jam.axis: there}
            for buffer, results in self.jam.stores:
                value = body.value(results[place])
                offset = self.space.offset([(axis, names[axis]) for axis in buffer.axes])
                exists = " & ".join(
                    filter(None, [self.space.mask(buffer.axes), f"({there} < {size})" if place else ""])
                )
                body.put(f"tl.store({pointer(buffer)} + {offset}, {value}, mask={exists}{self.scope.policy(buffer)})")
