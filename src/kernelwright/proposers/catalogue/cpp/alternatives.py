"""Schedules that may be faster than a kernel's first guess at its size: the guess with one decision turned.

What is decided is which rewrites are made; their arguments are parameters (`trials.py`). A decision is worth turning
where the guess is a close one: `weight` says how likely another schedule is to win, times the kernel's share of the
work, so that a program's budget goes to those that may matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod

from kernelwright.proposers.catalogue.cpp.priors import (
    PLAIN,
    TENSORISED,
    TENSORISED_LEAST,
    WINOGRAD,
    Machine,
    default,
    has_few_tiles,
    pays_in_turn,
    row_bytes,
    tensorises,
)
from kernelwright.proposers.catalogue.dtypes import width
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.nesting import Loops
from kernelwright.proposers.catalogue.products import Product
from kernelwright.proposers.catalogue.program import Program
from kernelwright.proposers.catalogue.renderer import Alternative
from kernelwright.proposers.catalogue.schedule import Schedule

_MOST = 4
"""Alternatives of a program: each costs a build and a measurement."""
_LEAST = 0.15
"""The least weight that is worth one."""
_FLOPS_A_BYTE = 8
"""How much arithmetic takes as long as a byte from memory."""
_FEW_CHANNELS = 32
"""Channels, read or made, of which windows' forms may not pay."""
_FEW_ROWS = 16
"""Rows of a product that may do without blocks."""


def alternatives(program: Program) -> list[Alternative]:
    """See `Renderer.alternatives`."""
    machine = Machine.of(program.target, program.traffic, [schedule.region for schedule in program.schedules])
    work = [_work(nest) for nest in program.nests]
    total = max(1.0, sum(work))
    found = [
        other
        for schedule, nest, own in zip(program.schedules, program.nests, work, strict=True)
        for other in _turned(schedule, nest, machine, own / total)
    ]
    return sorted(found, key=lambda each: -each.weight)[:_MOST]


def _work(nest: Nest) -> float:
    """In bytes from memory."""
    buffers = [*nest.reads, *(store.buffer for store in nest.stores)]
    flops = 2 * prod(nest.product.sizes) if nest.product else 0
    return sum(width(buffer.dtype) * buffer.size for buffer in buffers) + flops / _FLOPS_A_BYTE


def _turned(guess: Schedule, nest: Nest, machine: Machine, share: float) -> Iterator[Alternative]:
    """Other schedules of a kernel, which has a share of the program's work."""
    if share < _LEAST:
        return
    before = _forms(guess)
    for turned, likely in _of_products(nest.product, machine) if nest.product else _of_loops(guess, nest, machine):
        other = default(guess.region, machine, turned) if likely * share >= _LEAST else guess
        if _forms(other) != before:
            makes = not any(form.startswith(turned) for form in before)
            yield Alternative(other, f"{'with' if makes else 'without'} {turned}", likely * share)


def _forms(schedule: Schedule) -> list[str]:
    """Its rewrites, whatever their arguments."""
    return [rewrite.text(None) for rewrite in schedule.rewrites]


def _of_products(product: Product, machine: Machine) -> list[tuple[str, float]]:
    """Decisions about a product, and how likely it is that they were wrong."""
    if product.scores is not None:
        return []
    return [(turned, likely(product, machine)) for turned, likely in _PRODUCTS.items()]


def _staged_right(product: Product, machine: Machine) -> float:
    """Packing pays where a panel is read often, and rows read as they lie miss the caches."""
    return 0.6 if 8 <= product.sizes[1] <= 512 and not tensorises(product, machine.target) else 0.0


def _shared_steps(product: Product, machine: Machine) -> float:
    """Where sums are long, blocks are few, and both sides would be read by all threads."""
    _, m, n, k = product.sizes
    if has_few_tiles(product, machine):
        return 0.3  # the guess shares them out
    few = 4 * prod(product.sizes[:3]) * machine.target.cores <= machine.target.l2_bytes
    return 0.8 if few and k >= 16 * max(m, n) else 0.0


def _plain(product: Product, _: Machine) -> float:
    """Packing turns the right side around, which costs as much as some rows' worth of sums."""
    turned = product.left_along_k and product.right_along_k
    return 0.6 if turned and product.sizes[1] <= _FEW_ROWS else 0.0


def _tensorised(product: Product, machine: Machine) -> float:
    """Taking the right side apart costs as much as some rows' worth of sums."""
    near = TENSORISED_LEAST // 4 <= min(product.sizes[1:]) <= 2 * TENSORISED_LEAST
    return 0.6 if machine.target.matrix_unit and near else 0.0


def _winograd(product: Product, machine: Machine) -> float:
    """Making the windows' forms takes as long as some of the multiplications that they save, and the matrix unit saves
    as much in another way."""
    few = min(product.sizes[1], product.sizes[3] // 9) <= _FEW_CHANNELS
    return 0.6 if product.winograd and (few or tensorises(product, machine.target)) else 0.0


_PRODUCTS: dict[str, Callable[[Product, Machine], float]] = {
    "split_reduce(step)": _shared_steps,
    PLAIN: _plain,
    "stage(right)": _staged_right,
    WINOGRAD: _winograd,
    TENSORISED: _tensorised,
}


def _of_loops(guess: Schedule, nest: Nest, machine: Machine) -> list[tuple[str, float]]:
    """The same about loops."""
    target = machine.target
    if nest.vector is None:
        return []
    length, lanes = nest.vector.size, target.vector_bytes // 4
    beyond_l1 = nest.kind == "rows" and row_bytes(nest) > target.l1_bytes
    found = [
        ("split_reduce", _tasks(nest, length, target.cores, target.l2_bytes)),
        ("online_reduce(variance)", 0.6 if beyond_l1 else 0.0),
        ("online_reduce(exponentials)", 0.5 if beyond_l1 else 0.0),
        ("pipeline", 0.4 if pays_in_turn(nest, machine) else 0.0),
        ("stage(values)", 0.4 if nest.made("stage", "values") else 0.0),
    ]
    if length < 2 * lanes:  # most of a vector would be empty
        found += [(name, 0.6) for name in _interchanges(guess, length)]
    return found


def _tasks(nest: Nest, length: int, cores: int, l2_bytes: int) -> float:
    """Whether columns' results are combined by blocks of columns, or by shares of the rows."""
    if nest.kind == "tiles":
        return 0.6 if prod(axis.size for axis in nest.inner) >= 64 * cores and 4 * length <= l2_bytes else 0.0
    return 0.5 if nest.kind == "columns" and length >= 64 * cores else 0.0


def _interchanges(guess: Schedule, length: int) -> Sequence[str]:
    """Swaps of the innermost loop with a longer one."""
    fused = _fused(guess)
    loops: Loops = fused.loops
    longer = {name for name, axis in zip(loops.names, loops.order, strict=True) if axis.size >= 2 * length}
    choices = [each for each in fused.choices() if each.name == "interchange" and "j" in each.on]
    return [str(each) for each in choices if longer & set(each.on)]


def _fused(guess: Schedule) -> Schedule:
    """As far as the guess fuses loops."""
    schedule = Schedule.of(guess.region)
    for rewrite in guess.rewrites:
        if rewrite.name != "fuse":
            break
        schedule = schedule.then(rewrite)
    return schedule
