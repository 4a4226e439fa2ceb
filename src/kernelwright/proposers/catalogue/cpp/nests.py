"""Nests as C++ functions; here the kinds whose vector axis is elementwise or reduced, in `columns.py` those that keep
it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from kernelwright.proposers.catalogue.cpp import columns, products
from kernelwright.proposers.catalogue.cpp.expressions import SCALAR, Emitter
from kernelwright.proposers.catalogue.cpp.naming import pointer
from kernelwright.proposers.catalogue.cpp.rows import chains, feeder, row_sweep
from kernelwright.proposers.catalogue.cpp.spoken import spoken
from kernelwright.proposers.catalogue.cpp.writer import Writer, finish, roots_of, rows_emitter, team, work
from kernelwright.proposers.catalogue.ir import Axis, Buffer, Expr, Reduce
from kernelwright.proposers.catalogue.loops import Nest, Sweep

_SHORT = 1024
"""Rows of at most so many elements are not shared out among threads."""


@dataclass(frozen=True)
class Function:
    """A rendered kernel: its text, its tensors and the axes whose sizes it takes (in order), the support code it
    uses."""

    nest: Nest
    text: str
    arguments: tuple[Buffer, ...]
    axes: tuple[Axis, ...]
    snippets: frozenset[str]
    streams: bool
    fetches: bool
    """Whether it can read the next row into the cache while it works on one."""


def render(nest: Nest, leaf_size: Callable[[Axis], str], fixed: Callable[[Axis], int | None]) -> Function:
    """One nest as a C++ function that takes tensors and sizes."""
    return _rendered(Writer(nest, leaf_size, pointer, fixed), _described(nest))


def pattern(nest: Nest, fixed: Callable[[Axis], int | None]) -> str:
    """The function's text with numbers for names: nests with equal patterns can share one function."""
    names = Writer(nest, str, pointer, fixed)
    sizes = {axis: f"z{index}" for index, axis in enumerate(names.all_axes)}
    pointers = {buffer.name: f"p{index}" for index, buffer in enumerate(names.arguments)}
    writer = Writer(replace(nest, name="pattern"), sizes.__getitem__, lambda buffer: pointers[buffer.name], fixed)
    return _rendered(writer, []).text


def _rendered(writer: Writer, comment: Sequence[str]) -> Function:
    nest = writer.nest
    parameters = [f"TensorView {writer.pointer(buffer)}_" for buffer in writer.arguments]
    parameters += [f"int64_t {writer.leaf_size(axis)}" for axis in writer.axes]
    writer.put(*(f"// {line}" for line in comment))
    with writer.block(f"void {nest.name}({', '.join(parameters)}) {{"):
        writer.header()
        _KINDS[nest.kind](writer)
    text = "\n".join(writer.lines) + "\n"
    return Function(
        nest, text, tuple(writer.arguments), tuple(writer.axes), frozenset(writer.snippets), bool(writer.streamed),
        "AHEAD" in text,
    )  # fmt: skip


def _described(nest: Nest) -> list[str]:
    lines = [f"{store.buffer.name} = {spoken(store.expr)}" for store in nest.stores]
    return [line if len(line) <= 110 else line[:109] + "…" for line in lines]


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
    blocked = not nest.parallel or nest.vector.size > _SHORT
    bounds = ("begin", "end") if blocked else ("0", "n")
    with (
        team(writer, len(nest.parallel) + blocked, f"{work(writer)} > SERIAL_BELOW", [sweep]),
        writer.inner_loops(nest.parallel),
        writer.block("for (int64_t begin = 0; begin < n; begin += BLOCK) {") if blocked else nullcontext(),
    ):
        if blocked:
            writer.put("const int64_t end = std::min<int64_t>(begin + BLOCK, n);")
        writer.hoisted(roots_of(sweep), rows)
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
    private = [f"std::vector<{SCALAR[expr.dtype]}> {name}_(n);" for expr, name in kept.items()]
    private += [f"{SCALAR[expr.dtype]}* {name} = {name}_.data();" for expr, name in kept.items()]
    condition = f"{work(writer)} > SERIAL_BELOW"
    with team(writer, len(nest.parallel), condition, nest.sweeps, private), writer.inner_loops(nest.parallel):
        rows = rows_emitter(writer)
        for index, sweep in enumerate(nest.sweeps):
            # The second sweep reads from cache, so that memory has time for the next row.
            ahead = writer.next_rows(nest.sweeps[0]) if index == 1 else ()
            row_sweep(writer, sweep, rows, kept, ahead, fresh=index == 0)
        for store in nest.row_stores:
            writer.scalar_store(store, rows)
        for node in nest.finals:
            _note_row(writer, node, rows)
    finish(writer)


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
        scalars = writer.hoisted(roots_of(sweep), rows)
        for node in sweep.reductions:
            writer.put(f"std::vector<{_part_type(node)}> parts{writer.number(node)}(tasks);")
        with team(writer, 1, "tasks > 1", [sweep]), writer.block("for (int64_t task = 0; task < tasks; ++task) {"):
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
        writer.put(f"{writer.accumulator(node, 'UNROLL')} s{writer.number(node)};")
    split = {nest.inner[0]: ("begin", "end")} if nest.inner else {}
    bounds = ("0", "n") if nest.inner else ("begin", "end")
    with writer.inner_loops(nest.inner, split):
        writer.vector_loop(sweep, rows, scalars, bounds, chains=chains(sweep), feed=feeder(writer), kept={})
    for node in sweep.reductions:
        number = writer.number(node)
        writer.put(f"parts{number}[task] = s{number}.total();")


_KINDS: dict[str, Callable[[Writer], None]] = {
    "map": _map, "rows": _rows, "whole": _whole, "tiles": columns.tiles, "columns": columns.shared_out,
    "product": products.blocked,
}  # fmt: skip
