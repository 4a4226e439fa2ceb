"""What kernels made of tiles share: where a tile lies, and how it is read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from kernelwright.proposers.catalogue.ir import Axis, Buffer, Const, Expr, Load, resolved
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.products import Product
from kernelwright.proposers.catalogue.resolve import buffers
from kernelwright.proposers.catalogue.triton.expressions import Emitter, Scope, literal
from kernelwright.proposers.catalogue.triton.functions import TAKEN, Function, Matrix, heading, other_axes
from kernelwright.proposers.catalogue.triton.space import Group, Space, bracketed, is_wide, pointer

_MOST_AXES = 8


@dataclass(frozen=True)
class Side:
    """One of the two directions of a tile: its positions, the first of them, the name of how many there are, and
    whether what lies beyond the last position must be 0."""

    group: Group
    at: str
    block: str
    summed: bool = False

    @property
    def placed(self) -> str:
        """The statement that says which positions there are."""
        first = "" if self.at == "0" else f"{self.at} + "
        return f"{self.group.flat} = {first}tl.arange(0, {self.block}){self.group.shape}"


def half(nest: Nest, product: Product) -> str:
    """The 16-bit dtype that both sides are multiplied in; empty where that is float32: as it is for what is computed
    from 16 bits where results have 32."""
    scores = product.scores
    parts = (product, *product.beside, *product.added)
    sides = [side for each in parts for side in (each.left, each.right)]
    if scores is not None:
        sides = [scores.left, scores.right, product.right]
    dtypes = {buffer.dtype for buffer in buffers(sides)}
    kinds = {dtype for dtype in dtypes if dtype.endswith(("float16", "float32"))}
    as_read = scores is None and all(isinstance(side, Load) for side in sides)
    short = as_read or all(store.buffer.dtype in kinds for store in nest.stores)
    return next(iter(kinds)) if len(kinds) == 1 and kinds != {"float32"} and short else ""


class Tiles:
    """The text of one kernel while it is written.

    Args:
        nest: what is computed.
        product: the product in it.
        names: the names that its text uses, beside those of sizes and tensors.
    """

    def __init__(self, nest: Nest, product: Product, names: Sequence[str]) -> None:
        self.nest, self.product = nest, product
        self.arguments = nest.buffers
        inside = product.scores.k if product.scores else ()
        letters = (("B", product.batch), ("M", product.m), ("N", product.n), ("K", product.steps), ("H", inside))
        self.sizes: dict[Axis, str] = {}
        for letter, axes in letters:
            for place, axis in enumerate(axes):
                self.sizes[axis] = letter + (str(place) if len(axes) > 1 else "")
        for axis in other_axes(nest):
            self.sizes.setdefault(axis, f"D{len(self.sizes)}")
        parts = (f"{name}_{place}" for name in names for place in range(_MOST_AXES))
        taken = {*TAKEN, *names, *parts, *self.sizes.values(), *map(pointer, self.arguments)}
        self.scope = Scope.of(nest, taken)
        self.wide = is_wide(self.arguments)
        self.matrices: list[Matrix] = []
        self.batch = Group(product.batch, "batch", "")

    @property
    def half(self) -> str:
        """See `half`."""
        return half(self.nest, self.product)

    @property
    def precision(self) -> str:
        """How tiles of float32 are multiplied, as an argument."""
        if self.half:
            return ""
        self.scope.snippets.add("PRECISION")
        return ", input_precision=PRECISION"

    def group(self, axes: tuple[Axis, ...], flat: str, shape: str) -> Group:
        """Positions along some axes, by that name."""
        return Group(axes, flat, f"({flat} < {self.size(axes)})", shape)

    def size(self, axes: Sequence[Axis]) -> str:
        """Text for the number of positions along some axes."""
        text = " * ".join(self.sizes[axis] for axis in axes)
        return f"({text})" if len(axes) > 1 else text or "1"

    def space(self, *groups: Group) -> Space:
        """Where something is computed that goes along these groups, within one of the batch."""
        found = [group for group in (self.batch, *groups) if group.axes]
        indices = {
            axis: group.flat if len(group.axes) == 1 else f"{group.flat}_{place}"
            for group in found
            for place, axis in enumerate(group.axes)
        }
        return Space(found, self.sizes, indices, self.wide)

    def emitter(self, *groups: Group, depth: int = 1) -> Emitter:
        """A writer of statements there."""
        return Emitter(self.space(*groups), {}, self.scope, depth)

    def place_batch(self, body: Emitter, number: str, blocks: str) -> str:
        """Says which of the batch is worked on, where there are so many blocks to each; returns the text for which of
        these it is. A grid of one dimension, since the others end at 65,535."""
        if not self.batch.axes:
            return number
        which = f"{number} // {blocks}"
        body.put(f"batch = ({which}).to(tl.int64)" if self.wide else f"batch = {which}")
        body.put(*body.space.positions(self.batch))
        return f"{number} % {blocks}"

    def tile(self, body: Emitter, name: str, value: Expr, down: Side, across: Side) -> None:
        """Reads or computes a tile."""
        fetched = self._fetched(value, down, across)
        inner = self.emitter(down.group, across.group, depth=body.depth)
        if fetched is not None:
            inner.put(f"{name} = {fetched}")
        else:
            self._gathered(inner, name, value, [side.group for side in (down, across) if side.summed])
        body.lines += inner.lines

    def _fetched(self, value: Expr, down: Side, across: Side) -> str | None:
        """A tile of a matrix that lies in memory as it is, which the device copies by itself; None where it is none."""
        if not isinstance(value, Load) or value.otherwise is not None or self.half != value.buffer.dtype:
            return None
        if any(not isinstance(term.at, Const) for term in value.terms if term.at is not None):
            return None
        axes, space = resolved(term.axis for term in value.terms), self.space()
        found = {term.axis: literal(term.at) for term in value.terms if isinstance(term.at, Const)}
        found |= {axis: space.indices[axis] for axis in self.product.batch if {*axis.resolve()} <= {*axes}}
        batch = tuple(axis for axis in axes if axis in found)
        for lines, along in ((down, across), (across, down)):
            # What lies beyond the last of the lines is the next one of the batch, and no zero.
            if axes == resolved((*batch, *lines.group.axes, *along.group.axes)) and not (batch and lines.summed):
                first = lines.at
                if batch:
                    which = space.offset([(axis, found[axis]) for axis in batch])
                    first = f"{bracketed(which)} * {self.size(lines.group.axes)} + {first}"
                    first = f"({first}).to(tl.int32)" if self.wide else first
                shape, blocks = ((*batch, *lines.group.axes),), (lines.block, along.block)
                matrix = self.matrix(value.buffer, shape, blocks)
                return f"{matrix}.load([{first}, {along.at}])" + (".T" if lines is across else "")
        return None

    def matrix(self, buffer: Buffer, shape: tuple[tuple[Axis, ...], ...], blocks: tuple[str, ...]) -> str:
        """The parameter for tiles of a tensor, see `Matrix`."""
        for known in self.matrices:
            if (known.buffer, known.shape, known.blocks) == (buffer, shape, blocks):
                return known.name
        tries = (f"{buffer.name}_tiles{number or ''}" for number in count())
        name = next(each for each in tries if each not in self.scope.names)
        self.scope.names.add(name)
        self.matrices.append(Matrix(name, buffer, shape, blocks))
        return name

    def _gathered(self, inner: Emitter, name: str, value: Expr, summed: Sequence[Group]) -> None:
        """A tile that is computed, or read element by element."""
        # Positions that are not summed up are stored nowhere if there are none, so that they need no other value.
        if isinstance(value, Load) and value.otherwise is None and self.half:
            text = inner.read(value)
            inner.put(f"{name} = {text[:-1]}, other=0.0)" if "mask=" in text else f"{name} = {text}")
            return
        inner.count([value])
        text = inner.value(value)
        counts = " & ".join(group.mask for group in summed)
        text = f"tl.where({counts[1:-1] if len(summed) == 1 else counts}, {text}, 0.0)" if summed else f"({text})"
        inner.put(f"{name} = {text}" + (f".to(tl.{self.half})" if self.half else ""))

    def placed(self, body: Emitter, block: Emitter, sides: Sequence[Side]) -> None:
        """Adds a block of statements, and before them where its positions are, as far as it asks."""
        words = set(re.findall(r"\w+", " ".join(block.lines)))
        for side in sides:
            start = self.emitter(side.group, depth=block.depth)
            names = {side.group.flat, *(start.space.indices[axis] for axis in side.group.axes)}
            if names & words:
                start.put(side.placed, *start.space.positions(side.group))
                body.lines += start.lines
        body.lines += block.lines

    def write(self, body: Emitter) -> None:
        """Stores what is made of the product."""
        body.count(store.expr for store in self.nest.stores)
        for store in self.nest.stores:
            value = body.value(store.expr)
            offset = body.space.offset([(axis, body.space.indices[axis]) for axis in store.buffer.axes])
            mask = body.space.mask(store.buffer.axes)
            body.put(f"tl.store({pointer(store.buffer)} + {offset}, {value}, mask={mask})")

    def finished(self, body: Emitter, numbers: Sequence[str], suffix: str = "", others: Sequence[str] = ()) -> Function:
        """The kernel, once all is written: one of several where its name has a suffix; `others` are tensors of these
        alone."""
        product, words = self.product, set(re.findall(r"\w+", " ".join(body.lines)))
        arguments = tuple(each for each in self.arguments if pointer(each) in words)
        tensors = [*map(pointer, arguments), *(matrix.name for matrix in self.matrices), *others]
        text = (
            "\n".join([*heading(self.nest.name + suffix, tensors, [*self.sizes.values(), *numbers]), *body.lines])
            + "\n"
        )
        return Function(
            self.nest, text, arguments, {name: axis for axis, name in self.sizes.items()}, product.m + product.n,
            product.k, frozenset(self.scope.snippets), tuple(self.matrices),
        )  # fmt: skip
