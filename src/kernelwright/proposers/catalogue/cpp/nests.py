"""Nests as C++ functions; here the kinds whose vector axis is elementwise or reduced, in `columns.py` those that keep
it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

from kernelwright.proposers.catalogue.cpp import columns, products
from kernelwright.proposers.catalogue.cpp.expressions import SCALAR, Emitter
from kernelwright.proposers.catalogue.cpp.naming import pointer
from kernelwright.proposers.catalogue.cpp.rows import chains, feeder, pipelined, row_sweep
from kernelwright.proposers.catalogue.cpp.teams import tasks, team, work
from kernelwright.proposers.catalogue.cpp.writer import Macro, Writer, finish, rows_emitter
from kernelwright.proposers.catalogue.ir import Axis, Buffer, Expr, Reduce
from kernelwright.proposers.catalogue.loops import Nest, Sweep
from kernelwright.proposers.catalogue.spoken import spoken

_WIDE = 110
"""Characters of a line of comment."""


@dataclass(frozen=True)
class Function:
    """A rendered kernel: its text, its tensors and the axes whose sizes it takes (in order), the support code it
    uses."""

    nest: Nest
    text: str
    arguments: tuple[Buffer, ...]
    axes: tuple[Axis, ...]
    snippets: frozenset[str]


def render(nest: Nest, leaf_size: Callable[[Axis], str], fixed: Callable[[Axis], int | None], macro: Macro) -> Function:
    """One nest as a C++ function that takes tensors and sizes."""
    return _rendered(Writer(nest, leaf_size, pointer, fixed, macro), _described(nest, macro))


def pattern(nest: Nest, fixed: Callable[[Axis], int | None], macro: Macro) -> str:
    """The function's text with numbers for names, without what it says of them: nests with equal patterns can share
    one function."""
    names = Writer(nest, str, pointer, fixed, macro)
    sizes = {axis: f"z{index}" for index, axis in enumerate(names.all_axes)}
    pointers = {buffer.name: f"p{index}" for index, buffer in enumerate(names.arguments)}
    named = replace(nest, name="pattern")
    writer = Writer(named, sizes.__getitem__, lambda buffer: pointers[buffer.name], fixed, macro)
    lines = _rendered(writer, []).text.splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("//"))


def sizes_of(nest: Nest, macro: Macro) -> tuple[int, ...]:
    """The sizes of a kernel's axes, in the order in which its text needs them."""
    return tuple(axis.size for axis in Writer(nest, str, pointer, lambda _: None, macro).all_axes)


def _rendered(writer: Writer, comment: Sequence[str]) -> Function:
    nest = writer.nest
    parameters = [f"TensorView {writer.pointer(buffer)}_" for buffer in writer.arguments]
    parameters += [f"int64_t {writer.leaf_size(axis)}" for axis in writer.axes]
    writer.put(*(f"// {line}" for line in comment))
    with writer.block(f"void {nest.name}({', '.join(parameters)}) {{"):
        writer.header()
        _KINDS[nest.kind](writer)
    text = "\n".join(writer.lines) + "\n"
    return Function(nest, text, tuple(writer.arguments), tuple(writer.axes), frozenset(writer.snippets))


def _described(nest: Nest, macro: Macro) -> list[str]:
    """What it computes, and the rewrites that its loops come from, with the names of their numbers."""
    lines = [f"{store.buffer.name} = {spoken(store.expr)}" for store in nest.stores]
    made = "; ".join(each.text(None if each.argument is None else macro(each)) for each in nest.rewrites)
    return [line if len(line) <= _WIDE else line[: _WIDE - 1] + "…" for line in lines] + textwrap.wrap(made, _WIDE)


def _map(writer: Writer) -> None:
    """Elementwise: every position on its own, in blocks of the vector axis."""
    nest = writer.nest
    rows = rows_emitter(writer)
    if nest.vector is None:
        for sweep in nest.sweeps:
            for store in sweep.stores:
                writer.scalar_store(store, rows)
        return
    (sweep,) = nest.sweeps
    writer.put(*(["// What follows the innermost loop alone: stage(columns)."] if nest.columns else []))
    for expr in nest.columns:
        columns.row_of(writer, expr, rows)
    size = writer.number_of("split")
    bounds = ("begin", "end") if size else ("0", "n")
    opening = f"for (int64_t begin = 0; begin < n; begin += {size}) {{{writer.by('split')}"
    with (
        team(writer, f"{work(writer)} > SERIAL_BELOW", [sweep]),
        writer.inner_loops(nest.parallel),
        writer.block(opening) if size else nullcontext(),
    ):
        if size:
            writer.put(f"const int64_t end = std::min<int64_t>(begin + {size}, n);")
        writer.hoisted(sweep.roots, rows)
        writer.vector_loop(sweep, rows, (), bounds, chains="1", feed=feeder(writer), kept={})


def _rows(writer: Writer) -> None:
    """Rows on their own; each is swept as often as its reductions need, from cache after the first time."""
    nest = writer.nest
    for node in nest.finals:
        kind = _part_type(node)
        writer.put(
            f"std::vector<{kind}> rows{writer.number(node)}({' * '.join(writer.size(a) for a in nest.parallel)});"
        )
    kept = {expr: f"kept{i}" for i, expr in enumerate(expr for sweep in nest.sweeps for expr in sweep.keeps)}
    private = [f"std::vector<{SCALAR[expr.dtype]}> {name}_(n);  // stage(values)" for expr, name in kept.items()]
    private += [f"{SCALAR[expr.dtype]}* {name} = {name}_.data();" for expr, name in kept.items()]
    write = _in_turn if nest.made("pipeline") else _one_by_one
    write(writer, kept, private, f"{work(writer)} > SERIAL_BELOW")
    finish(writer)


def _one_by_one(writer: Writer, kept: Mapping[Expr, str], private: Sequence[str], condition: str) -> None:
    nest = writer.nest
    with team(writer, condition, nest.sweeps, private), writer.inner_loops(nest.parallel):
        rows = rows_emitter(writer)
        for index, sweep in enumerate(nest.sweeps):
            # The second sweep reads from cache, so that memory has time for the next row.
            row_sweep(writer, sweep, rows, kept, writer.next_rows(rows) if index == 1 else ())
        _after_row(writer, rows)


def _in_turn(writer: Writer, kept: Mapping[Expr, str], private: Sequence[str], condition: str) -> None:
    """The same for rows that follow each other: all in the innermost loop around them, or blocks where it is alone."""
    nest = writer.nest
    *outer, axis = nest.parallel
    rows = writer.size(axis)
    blocks: AbstractContextManager[None] = nullcontext()
    first, last = "0", rows
    if not outer:
        writer.put(f"const int64_t tasks = std::min<int64_t>({rows}, 4 * THREADS);")
        blocks = writer.block(tasks(writer))
        first, last = f"{rows} * task / tasks", f"{rows} * (task + 1) / tasks"
    with team(writer, condition, nest.sweeps, private), writer.inner_loops(outer), blocks:
        writer.put(f"const int64_t first = {first}, last = {last};")
        with writer.block("if (first < last) {") if outer else nullcontext():
            pipelined(writer, kept, partial(_after_row, writer))


def _after_row(writer: Writer, rows: Emitter) -> None:
    """What is known of a row once its sweeps are done."""
    for store in writer.nest.row_stores:
        writer.scalar_store(store, rows)
    for node in writer.nest.finals:
        _note_row(writer, node, rows)


def _part_type(node: Reduce) -> str:
    kind = SCALAR[node.operand.dtype]
    return f"Best<{kind}, {'true' if node.op == 'argmax' else 'false'}>" if node.op.startswith("arg") else kind


def _note_row(writer: Writer, node: Reduce, rows: Emitter) -> None:
    """Keeps a row's value for the reduction over rows."""
    nest = writer.nest
    (value,) = rows.emit([node.operand])
    writer.put(*rows.flush())
    row = writer.names.offset([(axis, writer.indices[axis]) for axis in nest.parallel])
    if node.op.startswith("arg"):
        value = f"{{{value}, {writer.position(node)}}}"
    writer.put(f"rows{writer.number(node)}[{row}] = {value};")


def _whole(writer: Writer) -> None:
    """Everything reduced: tasks leave partial results, which are combined in task order, so that the sum is
    repeatable."""
    nest = writer.nest
    rows = rows_emitter(writer)
    length = writer.size(nest.inner[0]) if nest.inner else "n"
    writer.put(f"const int64_t tasks = std::clamp<int64_t>({work(writer)} / SERIAL_BELOW, 1, 16 * THREADS);")
    for sweep in nest.sweeps:
        scalars = writer.hoisted(sweep.roots, rows)
        for node in sweep.reductions:
            writer.put(f"std::vector<{_part_type(node)}> parts{writer.number(node)}(tasks);")
        with team(writer, "tasks > 1", [sweep]), writer.block(tasks(writer)):
            _whole_task(writer, sweep, rows, scalars, length)
        for node in sweep.reductions:
            number = writer.number(node)
            combined = f"{writer.accumulator(node, '1')}::combined(parts{number})"
            writer.put(f"const {SCALAR[node.dtype]} t{number} = {combined};")
            rows.known[node] = f"t{number}"
    for store in nest.row_stores:
        writer.scalar_store(store, rows)


def _whole_task(writer: Writer, sweep: Sweep, rows: Emitter, scalars: Sequence[Expr], length: str) -> None:
    nest = writer.nest
    align = "" if nest.inner else " / W * W"
    writer.put(f"const int64_t begin = {length} * task / tasks{align};")
    last = f"{length} * (task + 1) / tasks"
    writer.put(
        f"const int64_t end = {last};" if nest.inner else f"const int64_t end = task + 1 == tasks ? n : {last} / W * W;"
    )
    for node in sweep.reductions:
        writer.put(f"{writer.accumulator(node, writer.chains)} s{writer.number(node)};")
    split = {nest.inner[0]: ("begin", "end")} if nest.inner else {}
    bounds = ("0", "n") if nest.inner else ("begin", "end")
    with writer.inner_loops(nest.inner, split):
        writer.vector_loop(sweep, rows, scalars, bounds, chains=chains(writer, sweep), feed=feeder(writer), kept={})
    for node in sweep.reductions:
        number = writer.number(node)
        writer.put(f"parts{number}[task] = s{number}.total();")


_KINDS: dict[str, Callable[[Writer], None]] = {
    "map": _map, "rows": _rows, "whole": _whole, "tiles": columns.tiles, "columns": columns.shared_out,
    "product": products.blocked,
}  # fmt: skip
