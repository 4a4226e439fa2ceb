"""First guesses and what is worth trying for the numbers of Triton kernels, by the size of their rows."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.products import Product
from kernelwright.proposers.catalogue.triton.nests import combined_axes, is_whole, kept_axes, padded


@dataclass(frozen=True)
class Choice:
    """A number of a kernel: the best guess, and what is worth trying."""

    value: int
    values: tuple[int, ...]


def choices(nest: Nest) -> dict[str, Choice]:
    """The numbers of a kernel by name, those that matter most first."""
    if nest.product is not None:
        return _product(nest.product)
    kept = prod(axis.size for axis in kept_axes(nest))
    if not combined_axes(nest):
        if not kept_axes(nest):
            return {"WARPS": Choice(1, (1,))}
        return {"BLOCK": _of(1024, 256, 8192), "WARPS": _of(4, 2, 8)}
    if is_whole(nest):
        length = padded(combined_axes(nest))
        rows = max(1, min(1024 // length, kept // 264))
        rows = 1 << rows.bit_length() - 1
        warps = max(1, min(16, rows * length // 512))
        return {"WARPS": _of(warps, max(1, warps // 4), min(32, warps * 2)), "ROWS": _rows(rows, length, kept)}
    if nest.kind == "rows":
        return {"BLOCK": _of(2048, 512, 8192), "WARPS": _of(8, 2, 16), "ROWS": Choice(1, (1,))}
    return {"ROWS": _of(64, 16, 256), "BLOCK": _of(32, 8, 128), "WARPS": _of(4, 2, 8)}


def _of(value: int, least: int, most: int) -> Choice:
    values = []
    while least <= most:
        values.append(least)
        least *= 2
    return Choice(value, tuple(values))


def _rows(rows: int, length: int, kept: int) -> Choice:
    most = min(rows * 4, max(1, 8192 // length), 1 << max(0, kept - 1).bit_length())
    return _of(rows, max(1, rows // 4), max(rows, most))


def _product(product: Product) -> dict[str, Choice]:
    """Large tiles where there are enough of them for all multiprocessors."""
    batch, m, n, k = product.sizes
    large = batch * m * n >= 132 * 128 * 256 and min(m, n) >= 128
    small = min(m, n) < 64
    return {
        "BLOCK_N": Choice(256 if large else 32 if small else 128, (32, 64, 128, 256)),
        "BLOCK_M": Choice(32 if small else 128, (32, 64, 128, 256)),
        "WARPS": Choice(8 if large else 4, (4, 8)),
        "STAGES": Choice(3 if large else 4, (2, 3, 4, 5)),
        "BLOCK_K": Choice(64, (32, 64, 128)),
        "GROUP": Choice(8, (1, 4, 8, 16)),
    }
