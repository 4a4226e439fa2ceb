"""Products as Triton kernels: each program makes a tile of the result from tiles of both sides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count

from kernelwright.proposers.catalogue.build import apply, const
from kernelwright.proposers.catalogue.ir import Axis, Buffer, Expr, Load, resolved, walk
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.products import Product
from kernelwright.proposers.catalogue.triton.expressions import Emitter
from kernelwright.proposers.catalogue.triton.nests import TAKEN, Function, Matrix, described, heading, other_axes
from kernelwright.proposers.catalogue.triton.space import Group, Space, is_wide, pointer

NUMBERS = ("BLOCK_M", "BLOCK_N", "BLOCK_K", "GROUP")
_NAMES = frozenset(
    {"program", "columns", "rows", "first", "height", "tile_m", "tile_n", "total", "left", "right", "start", "batch"}
    | {"row", "column", "step", "step_down", *NUMBERS}
)
_GROUPED = """\
# Programs that follow each other work on GROUP rows of tiles: what they read twice is in the L2 cache.
program = tl.program_id(0)
rows, columns = tl.cdiv({m}, BLOCK_M), tl.cdiv({n}, BLOCK_N)
first = program // (GROUP * columns) * GROUP
height = min(rows - first, GROUP)
tile_m = first + program % (GROUP * columns) % height
tile_n = program % (GROUP * columns) // height"""


def render(nest: Nest) -> Function:
    """A product with what is made of its results, as a kernel."""
    assert nest.product is not None  # the caller has checked
    return _Tiles(nest, nest.product).function()


class _Tiles:
    """The text of one product while it is written."""

    def __init__(self, nest: Nest, product: Product) -> None:
        self.nest, self.product = nest, product
        self.arguments = [*nest.reads, *{store.buffer.name: store.buffer for store in nest.stores}.values()]
        letters = (("b", product.batch), ("m", product.m), ("n", product.n), ("k", product.k))
        self.sizes: dict[Axis, str] = {}
        for letter, axes in letters:
            for place, axis in enumerate(axes):
                self.sizes[axis] = letter.upper() + (str(place) if len(axes) > 1 else "")
        for axis in other_axes(nest):
            self.sizes.setdefault(axis, f"D{len(self.sizes)}")
        self.taken = {*TAKEN, *_NAMES, *self.sizes.values(), *map(pointer, self.arguments)}
        self.snippets: set[str] = set()
        self.matrices: list[Matrix] = []
        self.batch = self._group(product.batch, "batch", "", "")
        self.rows = self._group(product.m, "row", "row < " + self._size(product.m), "[:, None]")
        self.columns = self._group(product.n, "column", "column < " + self._size(product.n), "[None, :]")

    def _group(self, axes: tuple[Axis, ...], flat: str, mask: str, shape: str) -> Group:
        return Group(axes, flat, f"({mask})" if mask else "", shape)

    def _size(self, axes: Sequence[Axis]) -> str:
        text = " * ".join(self.sizes[axis] for axis in axes)
        return f"({text})" if len(axes) > 1 else text or "1"

    def _space(self, *groups: Group) -> Space:
        indices = {
            axis: group.flat if len(group.axes) == 1 else f"{group.flat}_{place}"
            for group in groups
            for place, axis in enumerate(group.axes)
        }
        return Space([group for group in groups if group.axes], self.sizes, indices, is_wide(self.arguments))

    def function(self) -> Function:
        """The finished kernel."""
        product = self.product
        whole = self._space(self.batch, self.rows, self.columns)
        body = Emitter(whole, {}, self.taken, self.snippets)
        body.put(*described(self.nest))
        body.put(*_GROUPED.format(m=self._size(product.m), n=self._size(product.n)).splitlines())
        wide = ".to(tl.int64)" if whole.wide else ""
        if product.batch:
            body.put("batch = tl.program_id(1)" + wide, *whole.positions(self.batch))
        body.put(
            f"row = tile_m{wide} * BLOCK_M + tl.arange(0, BLOCK_M)[:, None]",
            *whole.positions(self.rows),
            f"column = tile_n{wide} * BLOCK_N + tl.arange(0, BLOCK_N)[None, :]",
            *whole.positions(self.columns),
        )
        self._sum(body)
        body.known[product.total] = "total"
        self._write(body)
        constants = [*self.sizes.values(), *NUMBERS]
        written = "\n".join(body.lines)
        arguments = tuple(each for each in self.arguments if re.search(rf"\b{pointer(each)}\b", written))
        tensors = [*map(pointer, arguments), *(matrix.name for matrix in self.matrices)]
        text = "\n".join([*heading(self.nest.name, tensors, constants), *body.lines]) + "\n"
        sizes = {name: axis for axis, name in self.sizes.items()}
        return Function(
            self.nest, text, arguments, sizes, product.m + product.n, product.k, frozenset(self.snippets),
            tuple(self.matrices),
        )  # fmt: skip

    def _sum(self, body: Emitter) -> None:
        """Tiles of both sides, multiplied and added up in float32."""
        product = self.product
        k = self._size(product.k)
        across = self._group(product.k, "step", f"step < {k}", "[None, :]")
        down = self._group(product.k, "step_down", f"step_down < {k}", "[:, None]")
        body.put(
            "total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)",
            f"for start in range(0, {k}, BLOCK_K):",
        )
        left, right = product.left, product.right
        if product.counts is not None:
            left = apply("where", product.counts, left, const(0, left.dtype))
        self._side(body, "left", left, (self.rows, "tile_m", "BLOCK_M"), across)
        self._side(body, "right", right, (self.columns, "tile_n", "BLOCK_N"), down)
        precision = "" if self._half() else ', input_precision="ieee"'
        body.put(f"    total = tl.dot(left, right, total{precision})")

    def _half(self) -> str:
        """The 16-bit dtype that both sides are multiplied in; empty where it is float32."""
        loads = [node for node in walk([self.product.left, self.product.right]) if isinstance(node, Load)]
        kinds = {load.buffer.dtype for load in loads if load.buffer.dtype.endswith(("float16", "float32"))}
        (kind, *others) = sorted(kinds)
        return "" if others or kind == "float32" else kind

    def _side(self, body: Emitter, name: str, side: Expr, tile: tuple[Group, str, str], steps: Group) -> None:
        """A tile of one side; nothing counts beyond the last step."""
        lines, at, block = tile
        inner = Emitter(self._space(self.batch, lines, steps), {}, self.taken, self.snippets, body.depth + 1)
        if (fetched := self._fetched(side, lines.axes, f"{at} * {block}", block)) is not None:
            across, text = fetched
            inner.put(f"{name} = {text}" + ("" if across == (name == "left") else ".T"))
        else:
            self._gathered(inner, name, side, steps)
        body.lines += inner.lines

    def _fetched(self, side: Expr, lines: tuple[Axis, ...], at: str, block: str) -> tuple[bool, str] | None:
        """A tile of a matrix that lies in memory as it is, which the device copies by itself; whether steps lie along
        its rows. None where it is none."""
        if not (isinstance(side, Load) and side.otherwise is None and self._half() == side.buffer.dtype):
            return None
        if any(term.at is not None for term in side.terms):
            return None
        batch, k = self.product.batch, self.product.k
        found = resolved(term.axis for term in side.terms)
        if found == resolved((*batch, *lines, *k)):
            first = f"batch * {self._size(lines)} + {at}" if batch else at
            matrix = self._matrix(side.buffer, (*batch, *lines), (block, "BLOCK_K"))
            return True, f"{matrix}.load([{first}, start])"
        # With a batch, what lies beyond the last step is that of the next one, and no zero.
        if not batch and found == resolved((*k, *lines)):
            matrix = self._matrix(side.buffer, k, ("BLOCK_K", block))
            return False, f"{matrix}.load([start, {at}])"
        return None

    def _matrix(self, buffer: Buffer, lines: tuple[Axis, ...], blocks: tuple[str, str]) -> str:
        tries = (f"{buffer.name}_tiles{number or ''}" for number in count())
        name = next(each for each in tries if each not in self.taken)
        self.taken.add(name)
        self.matrices.append(Matrix(name, buffer, lines, blocks))
        return name

    def _gathered(self, inner: Emitter, name: str, side: Expr, steps: Group) -> None:
        """A tile that is computed, or read element by element."""
        # Rows and columns beyond the last are stored nowhere, so that they need not be masked where they are read.
        inner.put(f"{steps.flat} = start + tl.arange(0, BLOCK_K){steps.shape}", *inner.space.positions(steps))
        if isinstance(side, Load) and side.otherwise is None and self._half():
            inner.put(f"{name} = {inner.read(side)[:-1]}, other=0.0)")
        else:
            inner.count([side])
            value = inner.value(side)
            inner.put(
                f"{name} = tl.where({steps.mask[1:-1]}, {value}, 0.0)"
                + (f".to(tl.{self._half()})" if self._half() else "")
            )

    def _write(self, body: Emitter) -> None:
        body.count(store.expr for store in self.nest.stores)
        for store in self.nest.stores:
            value = body.value(store.expr)
            offset = body.space.offset([(axis, body.space.indices[axis]) for axis in store.buffer.axes])
            mask = body.space.mask(store.buffer.axes)
            body.put(f"tl.store({pointer(store.buffer)} + {offset}, {value}, mask={mask})")
