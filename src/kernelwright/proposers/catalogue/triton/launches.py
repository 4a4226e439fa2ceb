"""Statements of forward that launch kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from kernelwright.proposers.catalogue.ir import Axis
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.products import Product
from kernelwright.proposers.catalogue.triton import attentions, boxes
from kernelwright.proposers.catalogue.triton.columns import COLUMNS, ColumnSums
from kernelwright.proposers.catalogue.triton.functions import Function, is_whole, parts
from kernelwright.proposers.catalogue.triton.products import BOXED_NUMBERS, NUMBERS, SHARED_NUMBERS
from kernelwright.proposers.catalogue.triton.shares import ShareText

_MERGED = 4, 32
"""The sides of a tile in which shares of a product are added up."""


class Lengths:
    """Python text for numbers of positions.

    Args:
        nest: the loops.
        size: text for the length of an axis of the graph.
    """

    def __init__(self, nest: Nest, size: Callable[[Axis], str]) -> None:
        self._nest, self._size = nest, size

    def of(self, axes: Iterable[Axis]) -> str:
        """The number of positions along some axes of loops; empty for none."""
        leaves = (leaf for axis in axes for part in axis.resolve() for leaf in self._nest.leaves(part))
        return " * ".join(self._size(leaf) for leaf in leaves)


def product(function: Function, lengths: Lengths, numbers: Mapping[str, str]) -> list[str]:
    """As many programs as there are tiles of all of a batch, but for a most."""
    lines: list[str] = []
    names: tuple[str, ...] = NUMBERS
    if any(len(each.shape) > 1 for each in function.matrices):
        own = {name: f"{name.lower()}_{function.nest.name}" for name in ("BLOCK_K", *boxes.NUMBERS)}
        lines, names = _sides(_product(function), lengths, numbers, own), BOXED_NUMBERS
        numbers = {**numbers, **own}
    grid = f"(min({_tiles(_product(function), lengths, numbers)}, {numbers['PROGRAMS']}),)"
    constants = {name: numbers[name] for name in names} | {"num_stages": numbers["STAGES"]}
    others = _matrices(function, lengths, numbers)
    return [*lines, _call(function, function.nest.name, grid, lengths, constants, numbers, others)]


def _sides(found: Product, lengths: Lengths, numbers: Mapping[str, str], own: Mapping[str, str]) -> list[str]:
    """Statements for the sides of boxes: so many channels at a time that all their number is made of them, and as many
    rows as go with the columns."""
    block, channels = numbers["BLOCK_N"], lengths.of(found.k[-1:])
    width = f"min({numbers['BLOCK_W']}, {block})" if "BLOCK_W" in numbers else block
    return [
        f"{own['BLOCK_K']} = min({numbers['BLOCK_K']}, ({channels}) & -({channels}))",
        f"{own['BLOCK_W']} = {width}",
        f"{own['BLOCK_H']} = {block} // {own['BLOCK_W']}",
    ]


def shared_product(share: Function, merged: Function, lengths: Lengths, numbers: Mapping[str, str]) -> list[str]:
    """Memory for what shares leave, several programs for each tile that fill it, and one that adds it up."""
    found, shares = _product(share), numbers["SHARES"]
    results = " * ".join(filter(None, map(lengths.of, (found.batch, found.m, found.n))))
    like = share.nest.reads[0].name
    parts = f"{share.nest.name}_parts"
    lines = [f"{parts} = torch.empty(({shares}, {results}), dtype=torch.float32, device={like}.device)"]
    # What is only added up goes by smaller tiles: more programs read at once.
    small = {**numbers, "BLOCK_M": str(_MERGED[0]), "BLOCK_N": str(_MERGED[1])}
    for function, name, times, own in ((share, "shares", f" * {shares}", numbers), (merged, "merged", "", small)):
        constants = {name: own[name] for name in SHARED_NUMBERS} | {"num_stages": own["STAGES"]}
        grid = f"({_tiles(found, lengths, own)}{times},)"
        others = [*_matrices(function, lengths, own), parts]
        lines.append(_call(function, f"{function.nest.name}_{name}", grid, lengths, constants, own, others))
    return lines


def _product(function: Function) -> Product:
    assert function.nest.product is not None  # the caller has checked
    return function.nest.product


def _tiles(found: Product, lengths: Lengths, numbers: Mapping[str, str]) -> str:
    """How many tiles a product has."""
    m = f"triton.cdiv({lengths.of(found.m)}, {numbers['BLOCK_M']})"
    n = [f"triton.cdiv({lengths.of(found.n)}, {numbers['BLOCK_N']})"]
    if "BLOCK_W" in numbers:
        sides = [lengths.of((axis,)) for axis in found.n]
        n = boxes.tiles(sides, [numbers[name] for name in boxes.NUMBERS], "triton.cdiv")
    return " * ".join(filter(None, (lengths.of(found.batch), m, *n)))


def attention(function: Function, lengths: Lengths, numbers: Mapping[str, str]) -> str:
    """A program a block of queries of one of a batch."""
    found = function.nest.product
    assert found is not None and found.scores is not None  # the caller has checked
    heads = {"HEAD_K": found.scores.k, "HEAD_N": found.n}
    widths = {name: f"max(16, triton.next_power_of_2({lengths.of(axes)}))" for name, axes in heads.items()}
    numbers = {**numbers, **widths}
    blocks = f"triton.cdiv({lengths.of(found.m)}, {numbers['BLOCK_M']})"
    grid = f"({' * '.join(filter(None, (lengths.of(found.batch), blocks)))},)"
    constants = {name: numbers[name] for name in attentions.NUMBERS} | {"num_stages": numbers["STAGES"]}
    return _call(function, function.nest.name, grid, lengths, constants, numbers, _matrices(function, lengths, numbers))


def _matrices(function: Function, lengths: Lengths, numbers: Mapping[str, str]) -> list[str]:
    """The tensors of which the device copies tiles, each with its shape but for the last dimension, and its tiles'."""
    found = []
    for each in function.matrices:
        shape = ", ".join(lengths.of(axes) or "1" for axes in each.shape)
        block = ", ".join(numbers.get(name, name) for name in each.blocks)
        found.append(f"_tiles({each.buffer.name}, [{shape}], [{block}])")
    return found


def planes(
    function: Function, down: tuple[Axis, ...], lengths: Lengths, numbers: Mapping[str, str], several: int
) -> str:
    """A program for each block of rows, or of as many times `several` along the last of their axes, and of what results
    are written along."""
    *rest, vector = function.kept
    rows = lengths.of(down)
    if several > 1:
        *outer, last = down
        rows = " * ".join(filter(None, [lengths.of(outer), f"triton.cdiv({lengths.of((last,))}, {several})"]))
    sides = [f"triton.cdiv({rows}, {numbers['ROWS']})", f"triton.cdiv({lengths.of((vector,))}, {numbers['BLOCK']})"]
    grid = f"({' * '.join(filter(None, (lengths.of(axis for axis in rest if axis not in down), *sides)))},)"
    constants = {name: numbers[name] for name in ("ROWS", "BLOCK")}
    return _call(function, function.nest.name, grid, lengths, constants, numbers)


def blocks(function: Function, lengths: Lengths, numbers: Mapping[str, str]) -> str:
    """A program for each block of what is kept."""
    positions, block = lengths.of(function.kept), numbers.get("ROWS" if function.combined else "BLOCK")
    programs = f"triton.cdiv({positions}, {block})" if block else positions
    grid = f"({programs},)" if positions else "(1,)"
    constants = {}
    if "ROWS" in numbers:
        constants["ROWS"] = numbers["ROWS"] if positions else "1"
    if is_whole(function.nest):
        row, count = lengths.of(function.combined), parts(function.nest)
        constants["BLOCK"] = f"triton.next_power_of_2({f'triton.cdiv({row}, {count})' if count > 1 else row})"
    elif function.combined or function.kept:
        constants["BLOCK"] = numbers["BLOCK"]
    if "STAGES" in numbers:
        constants["STAGES"] = numbers["STAGES"]
    return _call(function, function.nest.name, grid, lengths, constants, numbers)


def shared(
    kernels: Sequence[ShareText], functions: Sequence[Function], lengths: Lengths, numbers: Mapping[str, str]
) -> list[str]:
    """Memory for what shares leave, then a kernel for each sweep, with a program for each share of each block."""
    positions = lengths.of(functions[0].kept)
    like = functions[0].arguments[0].name
    room = f"({positions + ' * ' if positions else ''}{numbers['SHARES']},)"
    lines = [
        f"{part.name} = torch.empty({room}, dtype=torch.{part.dtype}, device={like}.device)"
        for part in kernels[-1].memory
    ]
    constants = {name: numbers[name] for name in ("ROWS", "BLOCK", "STAGES", "SHARES") if name in numbers}
    if "ROWS" in numbers and not positions:
        constants["ROWS"] = "1"
    for kernel, function in zip(kernels, functions, strict=True):
        results = f"triton.cdiv({positions}, {constants['ROWS']})" if positions and "ROWS" in numbers else positions
        sweeps = kernel.index < len(function.nest.sweeps)
        grid = f"({results or 1}, {numbers['SHARES'] if sweeps else 1})"
        parts = [part.name for part in kernel.memory]
        lines.append(_call(function, f"{function.nest.name}_{kernel.index}", grid, lengths, constants, numbers, parts))
    return lines


def column_sums(
    text: ColumnSums, rows: Function, sums: Function, lengths: Lengths, numbers: Mapping[str, str]
) -> list[str]:
    """Memory for what programs leave of each column, as many programs as there are rows but for a most, and those that
    add up what they leave."""
    nest, width = rows.nest, lengths.of(rows.combined)
    count = f"programs_{nest.name}"
    lines = [f"{count} = min(triton.cdiv({lengths.of(rows.kept)}, {numbers['ROWS']}), {numbers['PROGRAMS']})"]
    like, parts = rows.arguments[0].name, list(text.parts.values())
    lines += [f"{name} = torch.empty(({count}, {width}), dtype=torch.float32, device={like}.device)" for name in parts]
    constants = {
        "ROWS": numbers["ROWS"], "BLOCK": f"triton.next_power_of_2({width})", "STAGES": numbers["STAGES"]
    }  # fmt: skip
    lines.append(_call(rows, f"{nest.name}_rows", f"({count},)", lengths, constants, numbers, parts))
    grid = f"(triton.cdiv({width}, {COLUMNS}),)"
    constants = {"BLOCK": str(COLUMNS), "PARTS": count}
    lines.append(_call(sums, f"{nest.name}_sums", grid, lengths, constants, {**numbers, "WARPS": "4"}, parts))
    return lines


def _call(
    function: Function, name: str, grid: str, lengths: Lengths, constants: Mapping[str, str],
    numbers: Mapping[str, str], others: Sequence[str] = (),
) -> str:  # fmt: skip
    arguments = [*(buffer.name for buffer in function.arguments), *others]
    arguments += [f"{size}={lengths.of((axis,))}" for size, axis in function.sizes.items()]
    arguments += [f"{constant}={value}" for constant, value in constants.items()]
    arguments += [f"num_warps={numbers['WARPS']}"]
    return "\n".join([f"{name}[{grid}](", *(f"    {argument}," for argument in arguments), ")"])
