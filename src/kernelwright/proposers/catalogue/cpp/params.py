"""What can be tuned in a rendered candidate, and the best guess to start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from kernelwright.proposers.catalogue.cpp.nests import Function
from kernelwright.proposers.catalogue.dtypes import width
from kernelwright.targets.base import TargetInfo
from kernelwright.tasks import CaseInfo

_ACCUMULATORS = {False: 12, True: 28}
"""Vectors of running sums in registers, without and with AVX-512: the others are for the operands."""
CACHE_A_CORE = 16 << 20
"""A virtual machine's last-level cache is as large as the whole chip's, and others use it too: more is not ours."""


@dataclass(frozen=True)
class Parameters:
    """The values in force, those each may take, and what must hold between them."""

    values: dict[str, Any]
    space: dict[str, list[Any]]
    constraints: tuple[str, ...] = ()


def parameters(functions: Sequence[Function], case: CaseInfo, target: TargetInfo) -> Parameters:
    """Parameters for these functions on a target. Those that matter most come first in the space.

    Results larger than half of the last-level cache are written past it: nobody could read them from there, and a store
    that
    goes through the cache first reads the line it overwrites, half as much traffic again.
    """
    kinds = {function.nest.kind for function in functions}
    values: dict[str, Any] = {"THREADS": target.cores, "SCHEDULE": "static", "SERIAL_BELOW": 16384}
    space: dict[str, list[Any]] = {}
    constraints: tuple[str, ...] = ()
    if any(function.streams for function in functions):
        values["STREAM"] = int(case.bytes > min(target.l3_bytes, target.cores * CACHE_A_CORE) // 2)
        space["STREAM"] = [0, 1]
    if any(function.fetches for function in functions):
        row = max(_row_bytes(function) for function in functions if function.fetches)
        values["AHEAD"] = int(row <= target.l2_bytes // 3)
        space["AHEAD"] = [0, 1]
    if any("BEYOND" in function.text for function in functions):
        values["BEYOND"] = 4096
        space["BEYOND"] = [0, 4096]
    if any("UNROLL" in function.text for function in functions):
        values["UNROLL"] = 4
        space["UNROLL"] = [1, 2, 4, 8]
    if any("BLOCK" in function.text for function in functions):
        values["BLOCK"] = 16384
        space["BLOCK"] = [4096, 16384, 65536]
    if kinds & {"tiles", "columns"}:
        values["TILE"] = 512 if "tiles" in kinds else 2048
        space["TILE"] = [64, 128, 256, 512, 1024, 2048]
    if "product" in kinds:
        values |= _tiles(functions, target) | {"KC": 256, "MC": 512, "NC": 512}
        space["KC"] = [128, 192, 256, 384, 512]
        space["NC"] = [128, 256, 512, 1024]
        space["MC"] = [128, 256, 512, 1024]
        space["MR"] = [4, 6, 7, 8, 9, 10, 11, 12, 13, 14]
        space["NV"] = [1, 2, 3, 4]
        constraints = (f"MR * NV <= {_ACCUMULATORS[target.vector_bytes == 64]}",)
    space["SCHEDULE"] = ["static", "dynamic"]
    if target.cores > 2:  # a core may be two half ones, or others may need some
        space["THREADS"] = [target.cores // 2, target.cores]
    return Parameters(values, space, constraints)


def _tiles(functions: Sequence[Function], target: TargetInfo) -> dict[str, int]:
    """The tile that wastes least of the products' rows and columns, with enough running sums to hide the latency of
    multiplications."""
    most, lanes = _ACCUMULATORS[target.vector_bytes == 64], target.vector_bytes // 4
    products = [function.nest.product.sizes for function in functions if function.nest.product]

    def cost(tile: tuple[int, int]) -> float:
        height, width = tile[0], tile[1] * lanes
        total = 0.0
        for batch, m, n, k in products:
            rest = m % height
            rows = m - rest + (height if rest > height // 2 else height // 2 if rest else 0)
            total += batch * k * rows * -(-n // width) * width
        return total * (1.3 - 0.3 * tile[0] * tile[1] / most + 0.15 / tile[1])

    tiles = ((height, width) for height in range(4, 15) for width in (1, 2, 3, 4))
    height, width = min((tile for tile in tiles if most * 2 // 3 <= tile[0] * tile[1] <= most), key=cost)
    return {"MR": height, "NV": width}


def _row_bytes(function: Function) -> int:
    """Bytes that one row of the first sweep reads."""
    nest = function.nest
    elements: int = prod(axis.size for axis in (*nest.inner, *((nest.vector,) if nest.vector else ())))
    return elements * sum(width(buffer.dtype) for buffer in nest.reads if buffer.size >= elements)
