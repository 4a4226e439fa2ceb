"""The schedule that each family of kernels begins with, and which of its arguments matter at its size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod

from kernelwright.proposers.catalogue.dtypes import width
from kernelwright.proposers.catalogue.ir import Axis, Reduce, Scan
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.nesting import Loops
from kernelwright.proposers.catalogue.products import Product
from kernelwright.proposers.catalogue.rewrites import Rewrite, parse
from kernelwright.proposers.catalogue.rules import CHOICES, shareable
from kernelwright.proposers.catalogue.schedule import Schedule
from kernelwright.targets.base import TargetInfo

REGISTERS = {False: 16, True: 32}
"""Vectors in registers, without and with AVX-512. A product's tile needs one a vector of sums, one a vector of the
right side's row, and one for the left side's element; a tile that needs one more loses 5 %."""
CACHE_A_CORE = 16 << 20
"""A virtual machine's last-level cache is as large as the whole chip's, and others use it too: more is not ours."""
_SHORT = 1024
"""Rows of at most so many elements are not shared out among threads."""
_SHARE = 4096
"""Elements that are little enough to be one thread's."""
_MANY = 8
"""Rows that pay for a sweep ahead of them."""
_IN_TURN = 16
"""Rows of a thread's share of which one's last sweep and the next one's first are worth going together."""
_NEXT_TO_NONE = 4
"""Rows that do not pay for turning around the right side of a product: plain loops read it as it lies."""
_FEW = 16
"""Rows that do not pay for packing the right side of a product."""
_FEW_OF_WINDOWS = 64
"""The same where the right side is read by windows: their rows lie far apart in memory."""
_SETS = 1024
"""Floats from row to row that would have all rows of a tile share cache sets."""
TENSORISED_LEAST = 48
"""Rows, columns and steps that pay for taking both sides apart into what the matrix unit multiplies."""
_ROOMY = 2 << 20
"""Bytes of second-level cache that blocks of twice as many steps and rows pay with."""
_SOME_ROWS = 128
"""Rows of a product that stay in the cache beside twice as many columns."""
_FORMS = 16
"""What is multiplied for each tile of 2 x 2 results."""
_LONG = 4096
"""Steps that are worth sharing out among threads where there are fewer tiles."""

WINOGRAD = "winograd(windows)"
"""The decision to make a convolution's results 2 x 2 at a time."""
TENSORISED = "tensorise(tile)"
"""The decision to multiply by the processor's matrix unit."""
PLAIN = "plain loops"
"""The decision to make a product's loops plain ones instead of blocks."""


@dataclass(frozen=True)
class Machine:
    """What first guesses depend on: a target, the bytes that all kernels of a program move at least, the tile of its
    products, and the most rows that one of them has which the matrix unit multiplies."""

    target: TargetInfo
    traffic: int
    tile: tuple[int, int] = (0, 0)
    rows: int = 0

    @classmethod
    def of(cls, target: TargetInfo, traffic: int, regions: Iterable[Loops]) -> Machine:
        """For a program's kernels."""
        if not (products := [region.product for region in regions if region.product]):
            return cls(target, traffic)
        tensorised = [
            each.sizes[1] for each in products if tensorises(each, target) and not _goes_by_windows(each, target)
        ]
        return cls(target, traffic, _tile(products, target), max(tensorised, default=0))

    @property
    def beyond_cache(self) -> bool:
        """Results larger than half of the last-level cache are written past it: nobody could read them from there, and
        a store that goes through the cache first reads the line it overwrites, half as much traffic again."""
        return self.exceeds_cache(self.traffic)

    @property
    def blocks(self) -> tuple[Rewrite, ...]:
        """The blocks of its products, twice as large where the second-level cache holds a block of the right side and
        most of the sums; half as many columns where a tall one is multiplied by the matrix unit, whose parts take half
        as much room again."""
        roomy = self.target.l2_bytes >= _ROOMY
        steps, rows = (512, 1024) if roomy else (256, 512)
        columns = 256 if roomy and self.rows > _SOME_ROWS else 512
        sizes = {"tile": dict(zip(("row", "column"), self.tile, strict=True)),
                 "split": {"step": steps, "row": rows, "column": columns}}  # fmt: skip
        return tuple(Rewrite.of(name, on, argument=size) for name, each in sizes.items() for on, size in each.items())

    def exceeds_cache(self, size: int) -> bool:
        """Whether so many bytes are more than half of the last-level cache."""
        return size > min(self.target.l3_bytes, self.target.cores * CACHE_A_CORE) // 2


def default(region: Loops, machine: Machine, turned: str = "") -> Schedule:
    """The best guess for a kernel, or what it would be with one decision turned: a rewrite by its name, which is made
    instead of left out, or left out instead of made; `PLAIN` where a product's loops are arranged as plain ones."""
    if region.product is None:
        return _Guess(region, machine, turned).schedule()
    if _goes_plain(region.product) != (turned == PLAIN):
        plain = _Guess(replace(region, product=None), machine, turned, in_product=True).schedule()
        return Schedule.of(region).then(*plain.rewrites)
    return _blocked(region, region.product, machine, turned)


def _blocked(region: Loops, product: Product, machine: Machine, turned: str) -> Schedule:
    if product.winograd and _goes_by_windows(product, machine.target) != (turned == WINOGRAD):
        return _by_windows(region, product, machine)
    schedule = Schedule.of(region).then(*machine.blocks)
    if region.weights() is not None:
        schedule = schedule.then(Rewrite.of("unroll", "scores", argument=4))
        fits = product.k[-1].size * 8 <= machine.target.l2_bytes
        staged = fits != (turned == "stage(values)")
        return schedule.then_if_legal(Rewrite.of("stage", "values")) if staged else schedule
    if _packs(product) != (turned == "stage(right)"):
        schedule = schedule.then_if_legal(Rewrite.of("stage", "right"))
    if has_few_tiles(product, machine) != (turned == "split_reduce(step)"):
        schedule = schedule.then(Rewrite.of("split_reduce", "step"))
    elif tensorises(product, machine.target) != (turned == TENSORISED):
        schedule = schedule.then_if_legal(Rewrite.of("tensorise", "tile"))
    written = sum(width(store.buffer.dtype) * store.buffer.size for store in region.stores)
    return schedule.then_if_legal(Rewrite.of("stage", "stores", argument=int(machine.exceeds_cache(written))))


def _by_windows(region: Loops, product: Product, machine: Machine) -> Schedule:
    """A convolution's results 2 x 2 at a time: as many tiles at once as leave half of the cache free."""
    fit = machine.target.l2_bytes // (2 * _FORMS * 4) // (product.sizes[3] // 9)
    tiles = max((size for size in CHOICES["WINOGRAD_WINDOWS"] if int(size) <= fit), default=64)
    return Schedule.of(region).then(*machine.blocks[:2], Rewrite.of("winograd", "windows", argument=tiles))


def _goes_by_windows(product: Product, target: TargetInfo) -> bool:
    """Whether the multiplications saved take longer than making the forms of windows, results and weights: counted in
    cycles, the first by two vectors of them in one, the others as measured with AVX-512."""
    if not product.winograd:
        return False
    batch, rows, columns, steps = product.sizes
    channels = steps // 9
    spared = (9 * batch * columns - _FORMS * product.tiles) * rows * channels / (target.vector_bytes // 2)
    return spared > product.tiles * (4 * channels + 3 * rows) + 7 * rows * channels


def tensorises(product: Product, target: TargetInfo) -> bool:
    """Whether the matrix unit wins: it multiplies so fast that few rows do not pay for taking the right side apart."""
    return bool(target.matrix_unit) and min(product.sizes[1:]) >= TENSORISED_LEAST and product.alone


def _goes_plain(product: Product) -> bool:
    """Whether its right side would have to be turned around for next to no rows."""
    few = product.sizes[1] <= _NEXT_TO_NONE
    return product.scores is None and product.left_along_k and product.right_along_k and few


def _packs(product: Product) -> bool:
    """Whether its right side is packed though tiles could read it as it lies."""
    rows = product.sizes[1]
    if product.windows:
        return rows > _FEW_OF_WINDOWS
    return rows > _FEW or product.n[-1].size % _SETS == 0


def has_few_tiles(product: Product, machine: Machine) -> bool:
    """Whether there are fewer tiles than threads, and sums long enough to be shared out instead."""
    batch, m, n, k = product.sizes
    width_ = machine.tile[1] * machine.target.vector_bytes // 4
    return batch * -(-m // machine.tile[0]) * -(-n // width_) < machine.target.cores and k >= _LONG


class _Guess:
    """Chooses the rewrites of one kernel, one decision turned."""

    def __init__(self, region: Loops, machine: Machine, turned: str, *, in_product: bool = False) -> None:
        self.machine, self.turned, self.in_product = machine, turned, in_product
        self.now = Schedule.of(region)

    def schedule(self) -> Schedule:
        """The loops themselves first, then what is made of them."""
        self.now = self.now.fused()
        if not self.loops.order:
            return self.now
        self._order()
        self._reductions()
        if not self.loops.reduced and (not self.loops.parallel or self._vector.size > _SHORT):
            self._make("split", "j", argument=16384)
        self._make("vectorise", "j")
        self._try("unroll", "j", argument=4)
        if self.loops.parallel and self._decided("pipeline", self._row_fits and pays_in_turn(self.loops, self.machine)):
            self._try("pipeline", shareable(self.loops)[len(self.loops.parallel) - 1])
        if together := self._together():
            self._make("parallelise", *shareable(self.loops)[:together], argument="static")
        row_stays = self._vector.size * 8 <= self.machine.target.l2_bytes
        if self._decided("stage(values)", row_stays):
            self._try("stage", "values")
        rows = prod(axis.size for axis in self.loops.parallel)
        if self._decided("stage(columns)", row_stays and rows >= _MANY):
            self._try("stage", "columns")
        self._try("stage", "next_row", argument=int(self._row_fits or self.loops.kind != "rows"))
        self._try("stage", "reads", argument=4096)
        self._try("stage", "stores", argument=int(self.machine.beyond_cache))
        return self.now

    @property
    def loops(self) -> Loops:
        return self.now.loops

    @property
    def _row_fits(self) -> bool:
        return row_bytes(self.loops.nest()) <= self.machine.target.l2_bytes // 3

    @property
    def _vector(self) -> Axis:
        return self.loops.order[-1]

    def _make(self, name: str, *on: str, argument: int | str | None = None) -> None:
        self.now = self.now.then(Rewrite.of(name, *on, argument=argument))

    def _try(self, name: str, *on: str, argument: int | str | None = None) -> None:
        self.now = self.now.then_if_legal(Rewrite.of(name, *on, argument=argument))

    def _decided(self, name: str, guess: bool) -> bool:
        return guess != (self.turned == name)

    def _order(self) -> None:
        """The order in which tensors lie in memory, but that rows that leave most of a vector empty are taken several
        at a time, and that a plain product's few rows go inside: each line of the larger side is read once."""
        loops = self.loops
        if self.in_product and len(loops.parallel) > 1 and loops.order[0].size < loops.order[1].size:
            self._try("interchange", "i0", "i1")
        short = 2 * self._vector.size <= self.machine.target.vector_bytes // 4
        guess = (
            "interchange(i0, j)" if loops.kind == "rows" and len(loops.order) == 2 and loops.parallel and short else ""
        )
        if self.turned != guess:
            for turned in parse(self.turned if self.turned.startswith("interchange") else guess):
                self._try(turned.name, *turned.on)

    def _reductions(self) -> None:
        loops = self.loops
        if not loops.reduced:
            return
        shared_out = self._decided("split_reduce", self._shares_out())
        again = 4 * prod(axis.size for axis in loops.reduced) > self.machine.target.l2_bytes  # what another sweep reads
        once = (shared_out and bool(loops.kept)) or (again and loops.kind == "rows")
        if self._decided("online_reduce(variance)", once):
            self._try("online_reduce", "variance")
        if self._decided("online_reduce(exponentials)", again and loops.kind == "rows" and not shared_out):
            self._try("online_reduce", "exponentials")
        if loops.kind == "tiles":
            self._make("tile", "j", argument=2048 if shared_out else 512)
        if shared_out:
            names = dict(zip(self.loops.order, self.loops.names, strict=True))
            self._try("split_reduce", next(names[axis] for axis in self.loops.order if axis in self.loops.reduced))

    @property
    def _has_scans(self) -> bool:
        return any(isinstance(node, Scan) for node in self.loops.nodes)

    def _shares_out(self) -> bool:
        """Whether tasks combine a share each: everything, or whole rows that are read in one stream if all columns'
        running results fit in the cache beside them."""
        loops = self.loops
        if self._has_scans:
            return False
        if not loops.kept:
            return True
        indexed = any(isinstance(node, Reduce) and node.op.startswith("arg") for node in loops.nodes)
        fit = self._vector.size * 4 <= self.machine.target.l2_bytes // 8
        return loops.kind == "tiles" and fit and not loops.parallel and not indexed

    def _together(self) -> int:
        """How many of the outer loops are shared out as one: compilers make less of loops that have been made one, so
        inner ones that go through little stay loops."""
        loops, names = self.loops, shareable(self.loops)
        together = loops.parallel[-1:] if loops.made("pipeline") and len(loops.parallel) > 1 else ()
        inside = prod(axis.size for axis in (*together, *loops.inner, self._vector))
        # A loop over blocks goes through what is inside once.
        sizes = [*(axis.size for axis in loops.parallel), 1][: len(names)]
        while len(sizes) > 1 and inside * sizes[-1] <= _SHARE:
            inside *= sizes.pop()
        return len(sizes)


def pays_in_turn(loops: Loops | Nest, machine: Machine) -> bool:
    """Whether rows come from memory, and are enough that a thread has many that follow each other."""
    if loops.kind != "rows" or not loops.parallel:
        return False
    *outer, rows = (axis.size for axis in loops.parallel)
    each, shares = (rows, prod(outer)) if outer else (rows // (4 * machine.target.cores), machine.target.cores)
    return machine.beyond_cache and each >= _IN_TURN and shares >= machine.target.cores


def row_bytes(nest: Nest) -> int:
    """Bytes that one row of the first sweep reads."""
    elements: int = prod(axis.size for axis in (*nest.inner, *((nest.vector,) if nest.vector else ())))
    return elements * sum(width(buffer.dtype) for buffer in nest.reads if buffer.size >= elements)


def _tile(products: Sequence[Product], target: TargetInfo) -> tuple[int, int]:
    """The tile (rows, vectors of columns) that wastes least of the products' rows and columns, with enough running sums
    to hide the latency of multiplications."""
    lanes = target.vector_bytes // 4
    tiles = [
        (height, width_)
        for height in range(4, 15)
        for width_ in (1, 2, 3, 4)
        if (height + 1) * width_ < REGISTERS[target.vector_bytes == 64]
    ]
    most = max(height * width_ for height, width_ in tiles)

    def cost(tile: tuple[int, int]) -> float:
        height, width_ = tile[0], tile[1] * lanes
        total = 0.0
        for batch, m, n, k in (each.sizes for each in products):
            rest = m % height
            rows = m - rest + (height if rest > height // 2 else height // 2 if rest else 0)
            total += batch * k * rows * -(-n // width_) * width_
        # Without AVX-512 each element of the left side is loaded into a register of its own.
        loads = 1.0 if target.vector_bytes == 64 else max(1.0, (tile[0] + tile[1]) / (tile[0] * tile[1]))
        return total * loads * (1.1 - 0.1 * tile[0] * tile[1] / most + 0.01 / tile[1])

    return min((tile for tile in tiles if most * 2 // 3 <= tile[0] * tile[1]), key=cost)
