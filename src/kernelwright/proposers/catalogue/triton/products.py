"""Products as Triton kernels: each program makes a tile of the result from tiles of both sides."""

from __future__ import annotations

from collections.abc import Sequence

from kernelwright.proposers.catalogue.build import apply, const
from kernelwright.proposers.catalogue.ir import Axis, Expr, Load, walk
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.products import Product
from kernelwright.proposers.catalogue.triton.expressions import Emitter
from kernelwright.proposers.catalogue.triton.nests import TAKEN, Function, described, heading, other_axes
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
        text = (
            "\n".join([*heading(self.nest.name, [each.name for each in self.arguments], constants), *body.lines]) + "\n"
        )
        sizes = {name: axis for axis, name in self.sizes.items()}
        return Function(
            self.nest, text, tuple(self.arguments), sizes, product.m + product.n, product.k, frozenset(self.snippets)
        )

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
        self._side(body, "left", left, self.rows, across)
        self._side(body, "right", right, self.columns, down)
        precision = "" if self._half() else ', input_precision="ieee"'
        body.put(f"    total = tl.dot(left, right, total{precision})")

    def _half(self) -> str:
        """The 16-bit dtype that both sides are multiplied in; empty where it is float32."""
        loads = [node for node in walk([self.product.left, self.product.right]) if isinstance(node, Load)]
        kinds = {load.buffer.dtype for load in loads if load.buffer.dtype.endswith(("float16", "float32"))}
        (kind, *others) = sorted(kinds)
        return "" if others or kind == "float32" else kind

    def _side(self, body: Emitter, name: str, side: Expr, lines: Group, steps: Group) -> None:
        """A tile of one side; nothing counts beyond the last step."""
        space = self._space(self.batch, lines, steps)
        # Rows and columns beyond the last are stored nowhere, so that they need not be masked where they are read.
        inner = Emitter(space, {}, self.taken, self.snippets, body.depth + 1)
        inner.put(f"{steps.flat} = start + tl.arange(0, BLOCK_K){steps.shape}", *space.positions(steps))
        if isinstance(side, Load) and side.otherwise is None and self._half():
            inner.put(f"{name} = {inner.read(side)[:-1]}, other=0.0)")
        else:
            inner.count([side])
            value = inner.value(side)
            inner.put(
                f"{name} = tl.where({steps.mask[1:-1]}, {value}, 0.0)"
                + (f".to(tl.{self._half()})" if self._half() else "")
            )
        body.lines += inner.lines

    def _write(self, body: Emitter) -> None:
        body.count(store.expr for store in self.nest.stores)
        for store in self.nest.stores:
            value = body.value(store.expr)
            offset = body.space.offset([(axis, body.space.indices[axis]) for axis in store.buffer.axes])
            mask = body.space.mask(store.buffer.axes)
            body.put(f"tl.store({pointer(store.buffer)} + {offset}, {value}, mask={mask})")
