"""What is worth trying for the arguments of a kernel's rewrites at its size, and which of them matter most there.

A value that makes no difference at the kernel's size is no trial: blocks longer than the loop, more chains than a row
has vectors, sharing out rounds that there is one of for each thread. What matters depends on where the time goes.
Where tensors come from memory, how they are read and written comes first; where they stay in the cache, chains of
results that follow from each other do, and nothing is written past it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from kernelwright.proposers.catalogue.cpp.priors import Machine, row_bytes
from kernelwright.proposers.catalogue.dtypes import width
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.rewrites import Rewrite
from kernelwright.proposers.catalogue.rules import CHOICES

Value = int | str


@dataclass(frozen=True)
class Trial:
    """Values worth trying, the one in force among them, and how much they may matter: 1 as much as anything."""

    values: tuple[Value, ...]
    weight: float


def trials(nest: Nest, machine: Machine) -> list[tuple[Rewrite, Trial]]:
    """For each rewrite whose argument has more than one value worth trying: these."""
    family = _Family(nest, machine)
    found = []
    for rewrite in nest.rewrites:
        if rewrite.argument is None:
            continue
        prior = _PRIORS[rewrite.parameter]
        values = {each for each in CHOICES[rewrite.parameter] if prior.differs(family, each)} | {rewrite.argument}
        if len(values) > 1:
            found.append((rewrite, Trial(tuple(sorted(values, key=_in_order)), prior.weight(family))))
    return found


def _in_order(value: Value) -> tuple[int, str]:
    return (value, "") if isinstance(value, int) else (0, value)


class _Family:
    """What a kernel's size says about where its time goes."""

    def __init__(self, nest: Nest, machine: Machine) -> None:
        target = machine.target
        self.nest, self.target = nest, target
        self.lanes = target.vector_bytes // 4
        self.length = nest.vector.size if nest.vector else 1
        self.rows = prod(axis.size for axis in nest.parallel)
        buffers = [*nest.reads, *(store.buffer for store in nest.stores)]
        self.bytes = sum(width(buffer.dtype) * buffer.size for buffer in buffers)
        self.from_memory = self.bytes > target.cores * target.l2_bytes
        self.row_stays = nest.kind == "tiles" or row_bytes(nest) <= target.l2_bytes

    def rounds(self, block: int) -> float:
        """How many rounds there are for each thread where the vector axis is cut into blocks."""
        return self.rows * -(-self.length // block) / self.target.cores


@dataclass(frozen=True)
class _Prior:
    """For one argument: whether a value may make a difference, and how much they may matter."""

    differs: Callable[[_Family, Value], bool]
    weight: Callable[[_Family], float]


def _memory(high: float, low: float) -> Callable[[_Family], float]:
    """Matters where tensors come from memory."""
    return lambda family: high if family.from_memory else low


def _always(_: _Family, __: Value) -> bool:
    return True


def _stays_balanced(family: _Family, value: Value) -> bool:
    """Blocks that are no longer than the loop and keep all threads busy."""
    block = int(value)
    return block <= max(family.length, 64) and family.rounds(block) >= 1


def _has_chains(family: _Family, value: Value) -> bool:
    return int(value) * family.lanes <= family.length


def _tiled_by_vectors(family: _Family, _: Value) -> bool:
    return family.nest.made("tensorise") is None


def _is_so_many_tiles(family: _Family, value: Value) -> bool:
    return family.nest.product is not None and int(value) <= family.nest.product.tiles


def _shares_many(family: _Family, _: Value) -> bool:
    cut = family.nest.made("split") or family.nest.made("tile")
    block = cut.argument if cut and isinstance(cut.argument, int) else family.length
    return family.nest.made("split_reduce") is None and family.rounds(block) >= 4


_PRIORS: dict[str, _Prior] = {
    "STAGE_STORES": _Prior(lambda family, value: value == 0 or family.from_memory, _memory(0.9, 0.1)),
    "STAGE_NEXT_ROW": _Prior(lambda family, value: value == 0 or family.row_stays, _memory(0.8, 0.3)),
    "STAGE_READS": _Prior(lambda family, value: value == 0 or family.from_memory, _memory(0.7, 0.1)),
    "UNROLL": _Prior(_has_chains, _memory(0.4, 1.0)),
    "UNROLL_SCORES": _Prior(_has_chains, lambda _: 0.2),
    "SPLIT": _Prior(_stays_balanced, lambda _: 0.5),
    "TILE": _Prior(_stays_balanced, lambda family: 0.95 if family.nest.kind == "tiles" else 0.6),
    "SPLIT_STEP": _Prior(_always, lambda _: 0.9),
    "SPLIT_COLUMN": _Prior(_always, lambda _: 0.8),
    "SPLIT_ROW": _Prior(_always, lambda _: 0.7),
    "WINOGRAD_WINDOWS": _Prior(_is_so_many_tiles, lambda _: 0.9),
    "TILE_ROW": _Prior(_tiled_by_vectors, lambda _: 0.6),
    "TILE_COLUMN": _Prior(_tiled_by_vectors, lambda _: 0.5),
    "PARALLELISE": _Prior(_shares_many, lambda _: 0.2),
}
