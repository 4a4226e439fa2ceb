"""Maps whose innermost loop has two positions, as where pairs are rotated or a picture becomes twice as large: both at
once, so that memory is read and written in whole lines. So are both positions of other loops that have two of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from kernelwright.proposers.catalogue.build import apply, const, substitute
from kernelwright.proposers.catalogue.ir import Apply, Axis, Buffer, Const, Expr, Iota, Load, Term, walk
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.resolve import Interner
from kernelwright.proposers.catalogue.triton.expressions import NARROW, Emitter
from kernelwright.proposers.catalogue.triton.space import Group, Space, bracketed, pointer

_MOST_PHASES = 2
"""Other loops of two positions whose results are named one by one."""
_SHARED = 0.75
"""Share of the reads of all results, at most, that is left where those at once share enough of them."""


@dataclass(frozen=True)
class Pairs:
    """What is stored at even and at odd places, for each position of the other loops of two (`phases`), and which loads
    read neighbours: `neighbours` has for each pair of loads the coordinate of its first, in pairs."""

    stores: tuple[tuple[Buffer, tuple[int, ...], Expr, Expr], ...]
    neighbours: tuple[tuple[Load, Load], ...]
    phases: tuple[Axis, ...]

    @property
    def at_once(self) -> int:
        """How many results a thread makes for each of its positions."""
        return 2 << len(self.phases)


def pairs(nest: Nest, fixed: Callable[[Axis], int | None]) -> Pairs | None:
    """Both halves of a map, if its innermost loop has two positions in all cases, all results lie along it, and its
    values differ by more than where they are read, or share what they read.

    Args:
        nest: the map.
        fixed: the length of an axis where it is the same in all cases.
    """
    inner = nest.vector
    if nest.kind != "map" or inner is None or not nest.parallel or not _is_two(nest, inner, fixed):
        return None
    if any(store.buffer.axes != (*nest.parallel, inner) for store in nest.stores):
        return None
    phases = tuple(axis for axis in nest.parallel[:-1] if _is_two(nest, axis, fixed))[-_MOST_PHASES:]
    where = list(product(nest.stores, product((0, 1), repeat=len(phases))))
    found = []
    for store, place in where:
        expr = store.expr
        for axis, at in zip(phases, place, strict=True):
            expr = _at(expr, axis, at)
        found += [_at(expr, inner, at) for at in (0, 1)]
    several = len(found) // len(nest.stores)
    halves = Interner().intern(found)
    neighbours = _neighbours(halves, nest.parallel[-1])
    read = [sum(isinstance(node, Load) for node in walk(some)) for some in (halves, halves[:1])]
    if not neighbours and read[0] > _SHARED * several * read[1]:
        return None
    stores = tuple((store.buffer, place, halves[2 * at], halves[2 * at + 1]) for at, (store, place) in enumerate(where))
    return Pairs(stores, neighbours, phases)


def _is_two(nest: Nest, axis: Axis, fixed: Callable[[Axis], int | None]) -> bool:
    return len(nest.leaves(axis)) == 1 and fixed(axis) == 2


def _at(expr: Expr, axis: Axis, place: int) -> Expr:
    """The value at a place of an axis, what is known then left out."""
    done: dict[Expr, Expr] = {}
    root = substitute(expr, axis, const(place, "int64"))
    for node in walk([root]):
        done[node] = _folded(node, done)
    return done[root]


def _folded(node: Expr, done: dict[Expr, Expr]) -> Expr:
    match node:
        case Apply(op="eq"):
            a, b = (done[each] for each in node.operands)
            if isinstance(a, Const) and isinstance(b, Const):
                return const(a.value == b.value, "bool")
            return Apply(node.dtype, node.op, (a, b))
        case Apply(op="where"):
            condition, yes, no = (done[each] for each in node.operands)
            if isinstance(condition, Const):
                return yes if condition.value else no
            return Apply(node.dtype, node.op, (condition, yes, no))
        case Apply():
            return (
                apply(node.op, *(done[each] for each in node.operands))
                if node.op != "cast"
                else Apply(node.dtype, node.op, tuple(done[each] for each in node.operands))
            )
        case Load():
            terms = tuple(Term(term.axis, None if term.at is None else done[term.at]) for term in node.terms)
            return Load(node.dtype, node.buffer, terms, node.otherwise)
    return node


def _neighbours(halves: Sequence[Expr], along: Axis) -> tuple[tuple[Load, Load], ...]:
    """Pairs of loads at 2 i and 2 i + 1, where i is the position along the last axis."""
    alike: dict[object, dict[int, Load]] = defaultdict(dict)
    for node in walk(halves):
        if isinstance(node, Load) and node.otherwise is None and node.terms:
            *others, last = node.terms
            place = _place(last.at, along)
            if place is not None and all(term.at is None and term.axis is not along for term in others):
                alike[node.buffer, tuple(term.axis for term in others)][place] = node
    return tuple((both[0], both[1]) for both in alike.values() if len(both) == 2)


def _place(at: Expr | None, along: Axis) -> int | None:
    """0 for twice the position along an axis, 1 for one more."""
    match at:
        case Apply(op="mul", operands=(Iota(axis=axis), Const(value=2))) if axis is along:
            return 0
        case Apply(op="add", operands=(Apply() as twice, Const(value=1))) if _place(twice, along) == 0:
            return 1
    return None


def write(body: Emitter, nest: Nest, found: Pairs, sizes: dict[Axis, str]) -> None:
    """Loads both of a pair in one row of twice as many positions, takes them apart, and stores them in turn."""
    axes = tuple(axis for axis in nest.parallel if axis not in found.phases)
    last = axes[-1]
    total = body.space.size(axes)
    program = "tl.program_id(0)" + (".to(tl.int64)" if body.space.wide else "")
    body.put(
        "# Both positions of the innermost loop at once: `both` counts elements, the others count pairs.",
        f"both = {program} * (2 * BLOCK) + tl.arange(0, 2 * BLOCK)",
        f"exist = both < 2 * {bracketed(total)}",
    )
    names = {axis: f"both_{place}" for place, axis in enumerate(axes)} if axes[1:] else {last: "both"}
    space = Space([Group(axes, "both", "exist")], {**sizes, last: f"(2 * {sizes[last]})"}, names)
    body.put(*space.positions(space.groups[0]))
    for even, odd in found.neighbours:
        # The last coordinate, twice the position or one more, is that of an element.
        coordinates = [(term.axis, names[term.axis]) for term in even.terms[:-1]]
        offset = space.offset([*coordinates, (even.terms[-1].axis, names[last])])
        here, beside = (body.fresh_name(f"{even.buffer.name}_{which}") for which in ("even", "odd"))
        read = body.fresh_name(even.buffer.name)
        wide = f".to(tl.{NARROW[even.buffer.dtype]})" if even.buffer.dtype in NARROW else ""
        body.put(
            f"{read} = tl.load({pointer(even.buffer)} + {offset}, mask=exist){wide}",
            f"{here}, {beside} = tl.split(tl.reshape({read}, (BLOCK, 2)))",
        )
        body.known |= {even: here, odd: beside}
    body.count(half for _, _, *halves in found.stores for half in halves)
    for buffer, place, *halves in found.stores:
        values = []
        for half, which in zip(halves, ("even", "odd"), strict=True):
            values.append(body.fresh_name(f"{buffer.name}_{which}"))
            body.put(f"{values[-1]} = {body.value(half)}")
        there = {**names, **{axis: str(at) for axis, at in zip(found.phases, place, strict=True)}}
        offset = space.offset([(axis, there[axis]) for axis in nest.parallel])
        body.put(f"tl.store({pointer(buffer)} + {offset}, tl.interleave({', '.join(values)}), mask=exist)")
