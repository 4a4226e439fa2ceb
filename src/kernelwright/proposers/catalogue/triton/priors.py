"""First guesses and what is worth trying for the numbers of Triton kernels, by the size of their rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from kernelwright.proposers.catalogue.dtypes import width
from kernelwright.proposers.catalogue.ir import Axis
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.products import Product
from kernelwright.proposers.catalogue.triton import boxes, planes
from kernelwright.proposers.catalogue.triton.functions import combined_axes, is_whole, kept_axes, one_by_one, padded
from kernelwright.proposers.catalogue.triton.tiles import half

_NEARLY = 0.9
_UNUSED, _MIDDLE = 0.15, 64
"""Share of a row that blocks may go beyond its end, and the length of one that two warps go along."""
_STEPS = {"float32": 128, "float16": 512, "bfloat16": 512}
"""Steps that are worth a share of a sum."""
_PROGRAMS, _AHEAD = 8, 4
"""Programs for each multiprocessor that keep it busy, and where they read ahead."""
_SHORT = 512
"""Steps that are few for a sum."""
_SHARED = 160 << 10
"""Bytes of a multiprocessor's shared memory for rows that are read ahead."""
_FEW, _COLUMNS = 64, 1024
"""Rows that are combined with so few others, and columns for each multiprocessor: then the more columns at once."""


@dataclass(frozen=True)
class Choice:
    """A number of a kernel: the best guess, and what is worth trying."""

    value: int
    values: tuple[int, ...]


def choices(
    nest: Nest, multiprocessors: int, *, at_once: int, down: tuple[Axis, ...], box: boxes.Box | None
) -> dict[str, Choice]:
    """The numbers of a kernel by name, those that matter most first; `at_once` is how many results it makes for each
    position, `down` the axes of a block's rows where it has two directions, `box` how windows are read."""
    if nest.product is not None and nest.product.scores is not None:
        return _attention(nest.product)
    if nest.product is not None:
        return _product(nest, nest.product, multiprocessors, at_once, box)
    if not combined_axes(nest):
        return _plane(nest, down) if down else _map(nest, at_once)
    if nest.finals:
        return _whole(nest, multiprocessors) | {
            "STAGES": Choice(max(1, min(3, _SHARED // _row_bytes(nest))), (1, 2, 3, 4)),
            "PROGRAMS": Choice(multiprocessors * 2, tuple(multiprocessors * each for each in (1, 2, 4))),
        }
    if is_whole(nest):
        return _whole(nest, multiprocessors)
    return _swept(nest, multiprocessors)


def _row_bytes(nest: Nest) -> int:
    """Bytes of all that is read of a row."""
    axes = {*kept_axes(nest), *combined_axes(nest)}
    whole = {load.buffer for load in nest.loads if axes <= load.free}
    return padded(combined_axes(nest)) * sum(width(buffer.dtype) for buffer in whole) or 1


def _map(nest: Nest, at_once: int) -> dict[str, Choice]:
    if not kept_axes(nest):
        return {"WARPS": Choice(1, (1,))}
    if planes.has_windows(nest):
        return {"BLOCK": _of(256, 128, 4096), "WARPS": _of(4, 1, 8)}
    if planes.interpolates(nest):
        return {"BLOCK": _of(2048, 256, 8192), "WARPS": _of(2, 1, 8)}
    if at_once > 2:
        return {"BLOCK": _of(256, 64, 2048), "WARPS": _of(2, 1, 4)}
    return {"BLOCK": _of(1024 // at_once, 256, 8192), "WARPS": _of(4, 2, 8)}


def _plane(nest: Nest, down: tuple[Axis, ...]) -> dict[str, Choice]:
    """Blocks of two directions: about square where they are turned around, else as much of a row as fits."""
    assert nest.vector is not None  # or there would be no rows
    if planes.across(nest) is not None:
        sides = {"ROWS": down, "BLOCK": (nest.vector,)}
        return {name: _of(max(16, min(64, padded(axes))), 16, 128) for name, axes in sides.items()} | {
            "WARPS": _of(4, 2, 8)
        }
    block = _fitting(nest.vector.size)
    if planes.has_windows(nest):  # the more threads, the more is asked for
        most, warps = (1, 2) if block == _MIDDLE else (4, 4)
        rows = min(most, padded(down))
    else:
        rows, warps = min(1024 // block, padded(down)), 1
    return {"ROWS": _of(rows, max(1, rows // 4), rows * 4), "BLOCK": _of(block, 16, 256), "WARPS": _of(warps, 1, 8)}


def _fitting(length: int) -> int:
    """The largest block that leaves little of itself unused at the end of a row, else the one that leaves least."""
    unused = {block: -length % block for block in (128, 64, 32, 16)}
    return next(
        (block for block, rest in unused.items() if rest <= _UNUSED * length), min(unused, key=unused.__getitem__)
    )


def _whole(nest: Nest, multiprocessors: int) -> dict[str, Choice]:
    """Rows that a block holds, several where they are short."""
    kept, length = prod(axis.size for axis in kept_axes(nest)), padded(combined_axes(nest))
    rows = max(1, min(1024 // length, kept // 264))
    rows = 1 << rows.bit_length() - 1
    warps = _warps(rows * prod(axis.size for axis in combined_axes(nest)), alone=kept < multiprocessors)
    several = {} if one_by_one(nest) else {"ROWS": _rows(rows, length, kept)}
    return {"WARPS": _of(warps, max(1, warps // 4), min(32, warps * 4))} | several


def _swept(nest: Nest, multiprocessors: int) -> dict[str, Choice]:
    """Rows or columns that are gone along block by block."""
    kept, combined = (prod(axis.size for axis in axes) for axes in (kept_axes(nest), combined_axes(nest)))
    shares, stages = shared_out(nest, multiprocessors), 1
    if nest.kind == "rows":
        # A row that is read again comes from the L2 cache: less at once, and asked for earlier.
        again = shares == 1 and len(nest.sweeps) > 1
        one = (4096, 4, 1) if kept == 1 else (1024, 4, 1)
        block, warps, stages = one if shares > 1 else (8192, 8, 4) if again else (4096, 8, 3)
        found = {"BLOCK": _of(block, 512, 8192), "WARPS": _of(warps, 2, 16)}
    elif any(sweep.scans for sweep in nest.sweeps):
        found, stages = {"ROWS": _of(32, 8, 128), "BLOCK": _of(128, 16, 256), "WARPS": _of(2, 1, 8)}, 3
    elif kept >= _COLUMNS * multiprocessors and combined <= _FEW:
        found, stages = {"ROWS": _of(512, 64, 1024), "BLOCK": _of(8, 1, 32), "WARPS": _of(4, 2, 8)}, 3
    else:
        rows = 64 if kept >= 64 else 1 << (kept - 1).bit_length()
        at_once = 2048 if shares > 1 else 4096
        found = {
            "ROWS": _of(rows, min(rows, 16), 256 if rows == 64 else rows),
            "BLOCK": _of(at_once // rows, 512 // rows, 8192 // rows),
            "WARPS": _of(4, 2, 8),
        }
        stages = 3 if shares > 1 else 1
    found["STAGES"] = Choice(stages, (1, 2, 3, 4))
    if shares > 1:
        found["SHARES"] = _of(shares, max(2, shares // 4), min(1024, shares * 4))
    return found


def shared_out(nest: Nest, multiprocessors: int) -> int:
    """How many programs combine a share each of every result; 1 where there are results enough to keep all
    multiprocessors busy."""
    if is_whole(nest) or not combined_axes(nest) or any(sweep.scans for sweep in nest.sweeps):
        return 1  # a running result needs the one before it
    kept, combined = (prod(axis.size for axis in axes) for axes in (kept_axes(nest), combined_axes(nest)))
    block = 2048 if nest.kind == "rows" else 2048 // min(64, kept)
    programs = kept if nest.kind == "rows" else -(-kept // 64)
    wanted = (_PROGRAMS if nest.kind == "rows" and kept > 1 else _AHEAD) * multiprocessors // programs
    if wanted < 2:
        return 1
    return 1 << min(wanted, max(1, combined // (2 * block)), 1024).bit_length() - 1


def _of(value: int, least: int, most: int) -> Choice:
    values = []
    while least <= most:
        values.append(least)
        least *= 2
    return Choice(value, tuple(values))


def _warps(positions: int, *, alone: bool) -> int:
    """Warps for a row at once."""
    if alone:  # a program that has a multiprocessor for itself is as quick as its threads are many
        return 1 << max(1, min(32, positions // 128)).bit_length() - 1
    warps = 1 << max(1, min(16, positions // 512)).bit_length() - 1
    # Fewer where all threads then read as often (16 bytes, taken as 8 positions, each time).
    fewer = [warps >> less for less in range(3) if warps >> less]
    return next((each for each in fewer if positions % (256 * each) == 0), warps)


def _rows(rows: int, length: int, kept: int) -> Choice:
    most = min(rows * 4, max(1, 8192 // length), 1 << max(0, kept - 1).bit_length())
    return _of(rows, max(1, rows // 4), max(rows, most))


def _product(
    nest: Nest, product: Product, multiprocessors: int, at_once: int, box: boxes.Box | None
) -> dict[str, Choice]:
    """Large tiles where there are enough of them for nearly all multiprocessors; narrow ones of each of several
    products, which together are as large."""
    numbers = half(nest, product)
    narrow = (at_once * (1 + len(product.beside)) - 1).bit_length()
    if numbers:
        found = _tiles(product, multiprocessors, narrow, at_once)
    else:
        found = _exact_tiles(product, multiprocessors, narrow)
    if any(each.left is not product.left for each in product.beside):
        best = {"BLOCK_M": 64, "BLOCK_N": 128, "WARPS": 4, "PROGRAMS": found["PROGRAMS"].values[-1]}
        found |= {name: replace(found[name], value=value) for name, value in best.items()}
    shares = _product_shares(product, found, multiprocessors, numbers)
    if shares < 2:
        return found | (_box(product, found) if box else {})
    # A program for each share of each tile, however many.
    del found["PROGRAMS"]
    return found | {"SHARES": _of(shares, max(2, shares // 4), min(1024, shares * 4))}


def _box(product: Product, found: dict[str, Choice]) -> dict[str, Choice]:
    """The sides of what is read at once for results in several directions, as long as a row at best. Few filters have
    the more results at once, since each asks for as many reads."""
    widths = {"BLOCK_W": Choice(_fitting(product.n[-1].size), (8, 16, 32, 64, 128))} if len(product.n) > 1 else {}
    if found["BLOCK_M"].value == 64 and product.sizes[2] >= 64 * 64 and not product.beside:
        widths |= {"BLOCK_N": replace(found["BLOCK_N"], value=256), "WARPS": replace(found["WARPS"], value=8)}
    return widths


def _product_shares(product: Product, found: dict[str, Choice], multiprocessors: int, numbers: str) -> int:
    """How many programs sum up a share each of every tile: more than one where tiles are too few to keep half of the
    multiprocessors busy, and each has many steps."""
    batch, m, n, k = product.sizes
    tiles = batch * -(-m // found["BLOCK_M"].value) * -(-n // found["BLOCK_N"].value)
    if product.beside or product.counts is not None or 2 * tiles > multiprocessors:
        return 1
    wanted = min(2 * multiprocessors // tiles, k // _STEPS[numbers or "float32"])
    return 1 << max(wanted, 1).bit_length() - 1


def _tiles(product: Product, multiprocessors: int, narrow: int, at_once: int) -> dict[str, Choice]:
    batch, m, n, k = product.sizes
    wide, middle = max(32, 256 >> narrow), max(32, 128 >> narrow)
    # Where a sum is short, what is made of it takes longer: smaller ones, of which one is read while another is stored.
    long = k > _SHORT or at_once > 1
    large = long and batch * (m // 128) * (n // wide) >= _NEARLY * multiprocessors
    small = min(m, n) < 64
    return {
        "BLOCK_N": Choice(wide if large else 32 if small else middle, (32, 64, 128, 256)),
        "BLOCK_M": Choice(32 if small else 64 if m <= 64 else 128, (32, 64, 128, 256)),
        "WARPS": Choice(8 if large else 4, (4, 8)),
        "STAGES": Choice(3 if large or not long else 4, (2, 3, 4, 5)),
        "BLOCK_K": Choice(64, (32, 64, 128)),
        "GROUP": Choice(8, (1, 4, 8, 16)),
        # A tile that is large fills a multiprocessor.
        "PROGRAMS": Choice(multiprocessors * (1 if large else 2), (multiprocessors, multiprocessors * 2)),
    }


def _exact_tiles(product: Product, multiprocessors: int, narrow: int) -> dict[str, Choice]:
    """Those of float32: six products of what is held in three parts each, so that tiles are smaller."""
    batch, m, n, _ = product.sizes
    large = batch * (m // 128) * (n // (128 >> narrow)) >= _NEARLY * multiprocessors
    side = 128 if large else 32 if min(m, n) < 64 else 64
    return {
        "BLOCK_N": Choice(max(32, side >> narrow), (32, 64, 128)),
        "BLOCK_M": Choice(side, (32, 64, 128)),
        "WARPS": Choice(8 if large else 4, (4, 8)),
        "STAGES": Choice(3, (2, 3, 4)),
        "BLOCK_K": Choice(64, (16, 32, 64)),
        "GROUP": Choice(8, (1, 4, 8, 16)),
        "PROGRAMS": Choice(multiprocessors * 4, (multiprocessors * 2, multiprocessors * 4, multiprocessors * 8)),
    }


def _attention(product: Product) -> dict[str, Choice]:
    """As many queries as one group of four warps multiplies at a time; several programs share a multiprocessor."""
    short = 32 if product.sizes[2] > 128 else 64
    return {
        "BLOCK_M": Choice(64, (64, 128)),
        "BLOCK_N": Choice(short, (32, 64, 128)),
        "WARPS": Choice(4, (4, 8)),
        "STAGES": Choice(3, (1, 2, 3, 4)),
    }
