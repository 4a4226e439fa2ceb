"""Windows of a convolution as boxes of memory: what one element of the window reads for a tile of results, some rows by
some columns of all channels, lies together in memory, from where the device copies it by itself. From element to
element of the window, the box moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from kernelwright.proposers.catalogue.affine import stride
from kernelwright.proposers.catalogue.ir import Axis, Load, Term, resolved
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.products import Product
from kernelwright.proposers.catalogue.triton.space import Group, bracketed, is_wide
from kernelwright.proposers.catalogue.triton.tiles import half

NUMBERS = ("BLOCK_H", "BLOCK_W")
"""Rows and columns of a tile: as many together as it has results along n."""
_MOST = 5
"""Dimensions of a tensor that the device copies from."""
_CHANNELS = 16
"""Steps that tiles are multiplied by at a time, at least."""
_LEAST = 96
"""Results in the last two directions that fill a tile well enough."""


@dataclass(frozen=True)
class Box:
    """How windows of a product's right side are read: the coordinates `lines`, up to the last but one direction that
    results go along, are one of a box's, then come `column`, the last direction, and `others`, before the channels."""

    load: Load
    lines: tuple[Term, ...]
    column: Term
    others: tuple[Term, ...]

    @property
    def shape(self) -> tuple[tuple[Axis, ...], ...]:
        """The axes of each dimension of the tensor that boxes are taken from, but for the channels."""
        return tuple(term.axis for term in self.lines), *((term.axis,) for term in (self.column, *self.others))

    @property
    def blocks(self) -> tuple[str, ...]:
        """How long a box is along each dimension."""
        return *NUMBERS, *("1" for _ in self.others), "BLOCK_K"


def box(nest: Nest, fixed: Callable[[Axis], int | None]) -> Box | None:
    """How windows of a product are read by boxes; None where they are not.

    Args:
        nest: what is computed.
        fixed: the length of an axis where it is the same in all cases.
    """
    product = nest.product
    if product is None or product.scores or product.counts or product.added or is_wide(nest.buffers):
        return None
    load, n = product.right, product.n
    if not isinstance(load, Load) or any(each.right is not load for each in product.beside):
        return None
    *terms, last = load.terms
    if half(nest, product) != load.buffer.dtype or load.otherwise is not None or last.at is not None:
        return None
    channels = fixed(product.k[-1]) or 0
    windows = any(_free(term) & {*product.k[:-1]} for term in terms)
    if not windows or resolved((last.axis,)) != product.k[-1:] or not channels or channels % _CHANNELS:
        return None
    return _of(load, terms, product) if prod(axis.size for axis in n[-2:]) >= _LEAST else None


def _of(load: Load, terms: Sequence[Term], product: Product) -> Box | None:
    """The same by what its coordinates grow with."""
    n = product.n
    along = [place for place, term in enumerate(terms) if _free(term) & {*n}]
    if not along or along != list(range(along[0], along[0] + len(n))):
        return None
    first, end = along[0], along[-1] + 1
    still = {*product.batch, *product.k[:-1]}
    moves = all(
        _free(term) <= {axis, *still} and _stride(term, axis) == 1
        for term, axis in zip(terms[first:end], n, strict=True)
    )
    stays = all(_free(term) <= still for term in (*terms[:first], *terms[end:]))
    if not (moves and stays) or len(terms) - end + 3 > _MOST:
        return None
    return Box(load, tuple(terms[: end - 1]), terms[end - 1], tuple(terms[end:]))


def _free(term: Term) -> frozenset[Axis]:
    return frozenset(term.axis.resolve()) if term.at is None else term.at.free


def _stride(term: Term, axis: Axis) -> int | None:
    return int(term.axis is axis) if term.at is None else stride(term.at, axis)


def columns(n: Sequence[Axis], sizes: Mapping[Axis, str], name: str = "column") -> list[Group]:
    """The positions of a tile's results along each direction; only the last two have several."""
    masks = [f"({name}_{place} < {sizes[axis]})" if axis in n[-2:] else "" for place, axis in enumerate(n)]
    return [Group((axis,), f"{name}_{place}", masks[place], "[None, :]") for place, axis in enumerate(n)]


def corner(n: Sequence[Axis]) -> list[Group]:
    """The first of these positions."""
    return [Group((axis,), f"corner_{place}", "") for place, axis in enumerate(n)]


def tiles(sizes: Sequence[str], blocks: Sequence[str], cdiv: str) -> list[str]:
    """Texts for how many boxes there are along each direction of those sizes; `blocks` for a box's rows and columns."""
    outer = max(0, len(sizes) - len(blocks))
    sides = zip(sizes[outer:], blocks[-len(sizes) :], strict=True)
    return [*sizes[:outer], *(f"{cdiv}({size}, {block})" for size, block in sides)]


def placed(sizes: Sequence[str]) -> list[str]:
    """Statements for a box's corner and the positions in it, by which of the boxes it is."""
    counts, lines = tiles(sizes, NUMBERS, "tl.cdiv"), []
    for place, count in enumerate(counts):
        inside, beyond = " * ".join(counts[place + 1 :]), len(counts) - place
        which = "tile_n" + (f" // {bracketed(inside)}" if inside else "") + (f" % {count}" if place else "")
        lines.append(f"corner_{place} = {which}" + (f" * {NUMBERS[-beyond]}" if beyond <= len(NUMBERS) else ""))
    return [*lines, "at = tl.arange(0, BLOCK_N)[None, :]", *_within(len(sizes), "column", "at", "BLOCK_W")]


def placed_twice(directions: int) -> list[str]:
    """Statements for the positions of a box that has two for each along its last direction."""
    width = "(2 * BLOCK_W)"
    lines = _within(directions, "both", "twice", width)
    lines[-1] = f"both_{directions - 1} = 2 * corner_{directions - 1} + twice % {width}"
    return ["twice = tl.arange(0, 2 * BLOCK_N)[None, :]", *lines]


def _within(directions: int, name: str, at: str, width: str) -> list[str]:
    """Positions from a corner on."""
    parts = {directions - 1: f" + {at} % {width}", directions - 2: f" + {at} // {width}"}
    return [f"{name}_{place} = corner_{place}{parts.get(place, '')}" for place in range(directions)]
