"""Products as Triton kernels: each program makes tiles of the result, one after the other, from tiles of both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kernelwright.proposers.catalogue.build import apply, const
from kernelwright.proposers.catalogue.dtypes import width
from kernelwright.proposers.catalogue.ir import Axis, Expr, Load, Term, walk
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.products import Product
from kernelwright.proposers.catalogue.triton import boxes
from kernelwright.proposers.catalogue.triton.expressions import Emitter, bare
from kernelwright.proposers.catalogue.triton.functions import Function, described
from kernelwright.proposers.catalogue.triton.space import Group, Space, pointer
from kernelwright.proposers.catalogue.triton.tiles import Side, Tiles

NUMBERS = ("BLOCK_M", "BLOCK_N", "BLOCK_K", "GROUP")
SHARED_NUMBERS = (*NUMBERS, "SHARES")
BOXED_NUMBERS = (*NUMBERS, *boxes.NUMBERS)
PARTS = "parts_ptr"
"""What shares of a sum leave."""
_NAMES = (
    "tile", "place", "columns", "rows", "first", "height", "tile_m", "tile_n", "left", "right", "batch", "row",
    "column", "step", "step_down", "share", "span", "begin", "end", "corner", "start", "at", "both", "twice",
    PARTS, *SHARED_NUMBERS, *boxes.NUMBERS,
)  # fmt: skip
_WORD = 4
"""Bytes of a number of 32 bits."""
_TILES = """\
# A program works on one tile after the other{ahead}.
rows, columns = tl.cdiv({m}, BLOCK_M), {columns}
for tile in tl.range(tl.program_id(0), {count}, tl.num_programs(0){flatten}):"""
_GROUPED = """\
# Tiles that follow each other are in GROUP rows: what is read twice is in the L2 cache.
place = {place}
first = place // (GROUP * columns) * GROUP
height = min(rows - first, GROUP)
tile_m = first + place % (GROUP * columns) % height
tile_n = place % (GROUP * columns) // height"""


def halves(nest: Nest, fixed: Callable[[Axis], int | None]) -> Axis | None:
    """The axis of a batch that has two positions in all cases, and along which results lie: a tile of each of them is
    made at once, so that results are written in whole lines."""
    found = nest.product
    if found is None or found.scores is not None or not found.batch or fixed(found.batch[-1]) != 2:
        return None
    ends = found.n[-1], found.batch[-1]
    return ends[1] if all(store.buffer.axes[-2:] == ends for store in nest.stores) else None


def render(nest: Nest, pair: Axis | None, box: boxes.Box | None) -> Function:
    """A product with what is made of its results, as a kernel; `pair` is what `halves` found, `box` what `boxes.box`
    did."""
    assert nest.product is not None  # the caller has checked
    return _Products(nest, nest.product, pair, box).function()


def render_shares(nest: Nest) -> tuple[Function, Function]:
    """The same where results are few and steps are many: programs sum up a share of the steps each, and a second kernel
    adds these up."""
    assert nest.product is not None  # the caller has checked
    return _Shares(nest, nest.product).function(), _Merged(nest, nest.product).function()


class _Products(Tiles):
    """The text of one product while it is written."""

    suffix = ""
    shares: tuple[str, ...] = ()
    """How many programs there are for each tile, if not one."""
    number = "tile"
    """Which tile of which of the batch a program works on."""

    def __init__(self, nest: Nest, product: Product, pair: Axis | None = None, box: boxes.Box | None = None) -> None:
        super().__init__(nest, product, _NAMES)
        self.pair, self.turn = pair, 0
        """The axis of which a program makes both positions, and the one that is written about."""
        self.batch = Group(tuple(axis for axis in product.batch if axis is not pair), "batch", "")
        self.rows = self.group(product.m, "row", "[:, None]")
        self.box = box
        self.columns = [self.group(product.n, "column", "[None, :]")]
        if self.box:
            self.columns = boxes.columns(product.n, self.sizes)

    def function(self) -> Function:
        """The finished kernel."""
        product = self.product
        head = self.emitter()
        head.put(*described(self.nest))
        # Reading ahead needs room beside that for results, which is too little where these have 32 bits; two products
        # then wait for each other.
        ahead = (", and reads for the next one while it finishes the last", ", flatten=True")
        text, flatten = ahead if self.reads_ahead else ("", "")
        sides = [self.sizes[axis] for axis in product.n]
        across = f"tl.cdiv({self.size(product.n)}, BLOCK_N)"
        if self.box:
            across = " * ".join(boxes.tiles(sides, boxes.NUMBERS, "tl.cdiv"))
        batch = [self.size(self.batch.axes)] if self.batch.axes else []
        count = " * ".join([*batch, "rows", "columns", *self.shares])
        m = self.size(product.m)
        head.put(*_TILES.format(m=m, columns=across, ahead=text, count=count, flatten=flatten).splitlines())
        body = self.emitter(self.rows, *self.columns, depth=2)
        self._begin(body)
        place = self.place_batch(body, self.number, "(rows * columns)")
        body.put(*_GROUPED.format(place=place).splitlines())
        wide = ".to(tl.int64)" if self.wide else ""
        body.put(
            Side(self.rows, f"tile_m{wide} * BLOCK_M", "BLOCK_M").placed,
            *body.space.positions(self.rows),
            *(boxes.placed(sides) if self.box else self._placed_columns(body, wide)),
        )
        places = range(2 if self.pair else 1)
        totals = [{each: body.fresh_name("total") for each in (product, *product.beside)} for _ in places]
        self._sum(body, totals)
        self._end(body, totals)
        head.lines += body.lines
        if not self.suffix:
            return self.finished(head, BOXED_NUMBERS if self.box else NUMBERS)
        return self.finished(head, SHARED_NUMBERS, self.suffix, (PARTS,))

    def _placed_columns(self, body: Emitter, wide: str) -> list[str]:
        (columns,) = self.columns
        return [Side(columns, f"tile_n{wide} * BLOCK_N", "BLOCK_N").placed, *body.space.positions(columns)]

    @property
    def reads_ahead(self) -> bool:
        """Whether a program reads for its next tile while it finishes the last one."""
        alone = not (self.product.beside or self.product.added)
        return self.scope.short and alone and not self._adds_wide_tiles

    @property
    def _adds_wide_tiles(self) -> bool:
        """Whether what is made of the sums reads a number of 32 bits for each, for which there is no more room."""
        sides = set(self.product.m), set(self.product.n)
        after = walk((store.expr for store in self.nest.stores), {self.product.total})
        tiles = (node for node in after if isinstance(node, Load) and all(side & node.free for side in sides))
        return any(width(load.buffer.dtype) >= _WORD for load in tiles)

    def _begin(self, body: Emitter) -> None:
        """What comes before all else for a tile."""

    def space(self, *groups: Group) -> Space:
        """See `Tiles`."""
        found = super().space(*groups)
        return found if self.pair is None else replace(found, indices={**found.indices, self.pair: str(self.turn)})

    def _end(self, body: Emitter, totals: list[dict[Product, str]]) -> None:
        """What becomes of the sums."""
        if self.pair is None:
            self._known(body, totals[0])
            self.write(body)
            return
        values = []
        for turn, each in enumerate(totals):
            self.turn = turn
            part = self.emitter(self.rows, *self.columns, depth=body.depth)
            self._known(part, each)
            part.count(store.expr for store in self.nest.stores)
            values.append([part.value(store.expr) for store in self.nest.stores])
            body.lines += part.lines
        self._write_pairs(body, list(zip(*values, strict=True)))

    def _known(self, body: Emitter, totals: dict[Product, str]) -> None:
        """Tells the names of sums."""
        body.known |= {each.total: name for each, name in totals.items()}
        if self.product.met is not None:
            whole, value = self.product.met
            body.count([value])
            body.known[whole] = body.text(value)

    def _write_pairs(self, body: Emitter, values: list[tuple[str, ...]]) -> None:
        """Stores results of both positions in turn, in tiles twice as wide."""
        n = self.product.n
        sizes = {**self.sizes, n[-1]: f"(2 * {self.sizes[n[-1]]})"}
        body.put("# Both positions of the innermost direction in turn.")
        if self.box:
            body.put(*boxes.placed_twice(len(n)))
            columns = boxes.columns(n, sizes, "both")
        else:
            columns = [Group(n, "both", f"(both < 2 * {self.size(n)})", "[None, :]")]
            body.put("both = tile_n * (2 * BLOCK_N) + tl.arange(0, 2 * BLOCK_N)[None, :]")
        space = replace(self.space(self.rows, *columns), sizes=sizes)
        body.put(*([] if self.box else space.positions(columns[0])))
        for store, both in zip(self.nest.stores, values, strict=True):
            axes = store.buffer.axes[:-1]
            offset = space.offset([(axis, space.indices[axis]) for axis in axes])
            where = f"{pointer(store.buffer)} + {offset}"
            body.put(f"tl.store({where}, tl.interleave({', '.join(both)}), mask={space.mask(axes)})")

    def _sum(self, body: Emitter, totals: list[dict[Product, str]]) -> None:
        """Tiles of both sides, multiplied and added up in float32."""
        names = (total for each in totals for total in each.values())
        body.put(*(f"{total} = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)" for total in names))
        self._add_steps(body, totals)
        for other in self.product.added:
            self._add_steps(body, [{other: each[self.product]} for each in totals])

    def _bounds(self, body: Emitter, steps: str) -> tuple[str, str]:  # noqa: ARG002 - for shares, which are computed
        """The first of a product's steps that a program goes through, and the end; writes statements for them."""
        return "0", steps

    def _add_steps(self, body: Emitter, totals: list[dict[Product, str]]) -> None:
        """The steps of products of which one side is the same, at each of the positions made at once."""
        product = next(iter(totals[0]))
        first, last = self._bounds(body, self.size(product.k))
        across = Side(self.group(product.k, "step", "[None, :]"), "start", "BLOCK_K", summed=True)
        down = Side(self.group(product.k, "step_down", "[:, None]"), "start", "BLOCK_K", summed=True)
        body.put(f"for start in range({first}, {last}, BLOCK_K):")
        loop = self.emitter(across.group, down.group, depth=body.depth + 1)
        for turn, here in enumerate(totals):
            self.turn = turn
            self._add_step(loop, here, across, down)
        self.placed(body, loop, (across, down))

    def _add_step(self, loop: Emitter, totals: dict[Product, str], across: Side, down: Side) -> None:
        read: set[Expr] = set()
        for each, total in totals.items():
            if each.left not in read:
                self._read_left(loop, each, across)
            if each.right not in read and self.box:
                self._read_box(loop, self.box)
            elif each.right not in read:
                self.tile(loop, "right", each.right, down, Side(self.columns[0], "tile_n * BLOCK_N", "BLOCK_N"))
            read |= {each.left, each.right}
            loop.put(f"{total} = tl.dot(left, right, {total}{self.precision})")

    def _read_left(self, loop: Emitter, product: Product, across: Side) -> None:
        left = product.left
        if product.counts is not None:
            left = apply("where", product.counts, left, const(0, left.dtype))
        self.tile(loop, "left", left, Side(self.rows, "tile_m * BLOCK_M", "BLOCK_M"), across)

    def _read_box(self, loop: Emitter, box: boxes.Box) -> None:
        """A tile of the right side as a box: `start` is the element of the window and the first channel."""
        steps = self.group(self.product.k, "start", "")
        inner = self.emitter(*boxes.corner(self.product.n), steps, depth=loop.depth)
        inner.put(*inner.space.positions(steps))

        def at(term: Term) -> str:
            return inner.space.indices[term.axis] if term.at is None else bare(inner.text(term.at))

        first = inner.space.offset([(term.axis, at(term)) for term in box.lines]) or "0"
        places = ", ".join([first, *map(at, (box.column, *box.others, box.load.terms[-1]))])
        tiles = self.matrix(box.load.buffer, box.shape, box.blocks)
        inner.put(f"right = {tiles}.load([{places}]).reshape(BLOCK_N, BLOCK_K).T")
        loop.lines += inner.lines


class _Parts(_Products):
    """A kernel that leaves shares of sums in memory, or finds them there: there are few results, and memory has been
    waited for, not the multiplication."""

    @property
    def reads_ahead(self) -> bool:
        return False

    @property
    def place(self) -> str:
        """Where a share's results for a tile lie."""
        product = self.product
        results = " * ".join(self.size(axes) for axes in (product.batch, product.m, product.n))
        row = f"batch * {self.size(product.m)} + row" if product.batch else "row"
        return f"{PARTS} + share * ({results}) + ({row}) * {self.size(product.n)} + column"

    @property
    def mask(self) -> str:
        """Which of them there are."""
        return f"mask={self.rows.mask} & {self.columns[0].mask}"


class _Shares(_Parts):
    suffix = "_shares"
    shares = ("SHARES",)
    number = "(tile // SHARES)"

    def _begin(self, body: Emitter) -> None:
        body.put("# A share of the steps, in whole blocks.", "share = tile % SHARES")

    def _bounds(self, body: Emitter, steps: str) -> tuple[str, str]:
        body.put(
            f"span = tl.cdiv(tl.cdiv({steps}, SHARES), BLOCK_K) * BLOCK_K",
            "begin = share * span",
            f"end = min(begin + span, {steps})",
        )
        return "begin", "end"

    def _end(self, body: Emitter, totals: list[dict[Product, str]]) -> None:
        (total,) = totals[0].values()
        body.put(f"tl.store({self.place}, {total}, {self.mask})")


class _Merged(_Parts):
    suffix = "_merged"

    def _sum(self, body: Emitter, totals: list[dict[Product, str]]) -> None:
        (total,) = totals[0].values()
        body.put(
            "# What all shares have found.",
            f"{total} = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)",
            "for share in tl.range(SHARES, loop_unroll_factor=16):",
            f"    {total} += tl.load({self.place}, {self.mask}, other=0.0)",
        )
