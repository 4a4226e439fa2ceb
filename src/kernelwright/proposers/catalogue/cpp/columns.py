"""Nests that keep the vector axis: every lane is a column with running results of its own, in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kernelwright.proposers.catalogue.cpp.expressions import SCALAR, Emitter
from kernelwright.proposers.catalogue.cpp.writer import Writer, finish, roots_of, rows_emitter, team, work
from kernelwright.proposers.catalogue.ir import Expr, Reduce, Store
from kernelwright.proposers.catalogue.loops import Nest, Sweep

_BLOCK = ("begin", "end")
_ROW = ("0", "n")


def tiles(writer: Writer) -> None:
    """Blocks of columns on their own: running results for a block stay in the first-level cache while rows go by."""
    nest = writer.nest
    _final_arrays(writer)
    loops, condition = len(nest.parallel) + 1, f"{work(writer)} > SERIAL_BELOW"
    with (
        team(writer, loops, condition, nest.sweeps),
        writer.inner_loops(nest.parallel),
        writer.block("for (int64_t begin = 0; begin < n; begin += TILE) {"),
    ):
        writer.put("const int64_t end = std::min<int64_t>(begin + TILE, n);")
        rows = rows_emitter(writer)
        for sweep in nest.sweeps:
            for expr in _column_values(roots_of(sweep), rows, nest):
                name = f"c{len(rows.arrays)}"
                writer.put(f"{SCALAR[expr.dtype]} {name}_[TILE], *{name} = {name}_ - begin;")
                _assign(writer, expr, name, rows, _BLOCK)
                rows.arrays[expr] = name
            _tile_sweep(writer, sweep, rows)
        _column_stores(writer, nest.row_stores, rows, _BLOCK)
        for node in nest.finals:
            _assign(writer, node.operand, f"m{writer.number(node)}{_column(writer)}", rows, _BLOCK)
    finish(writer)


def _tile_sweep(writer: Writer, sweep: Sweep, rows: Emitter) -> None:
    """Rows in groups, whose sums are added up separately: long sums lose less that way."""
    nest = writer.nest
    scalars = writer.hoisted(roots_of(sweep), rows)
    sums = [node for node in sweep.reductions if node.op == "sum"]
    for node in sweep.reductions:
        kind, number = SCALAR[node.operand.dtype], writer.number(node)
        start = f"{writer.accumulator(node, '1')}::start"
        for name in (f"s{number}", f"t{number}") if node in sums else (f"s{number}",):
            writer.put(f"{kind} {name}_[TILE], *{name} = {name}_ - begin;", f"std::fill_n({name}_, TILE, {start});")
        if node.op.startswith("arg"):
            writer.put(f"int32_t a{number}_[TILE] = {{}}, *a{number} = a{number}_ - begin;")
    first, *others = nest.inner
    size = writer.size(first)
    if not sums:
        with writer.inner_loops(nest.inner):
            writer.vector_loop(sweep, rows, scalars, _BLOCK, chains="1", feed=_feeder(writer, ""), kept={})
    else:
        with writer.block(f"for (int64_t group = 0; group < {size}; group += 128) {{"):
            with writer.inner_loops([first, *others], {first: ("group", f"std::min<int64_t>(group + 128, {size})")}):
                writer.vector_loop(sweep, rows, scalars, _BLOCK, chains="1", feed=_feeder(writer, ""), kept={})
            for node in sums:
                number = writer.number(node)
                writer.put(f"add_group(t{number}, s{number}, begin, end);")
    for node in sweep.reductions:
        name = "a" if node.op.startswith("arg") else "t" if node in sums else "s"
        rows.arrays[node] = f"{name}{writer.number(node)}"


def shared_out(writer: Writer) -> None:
    """Few columns: tasks take rows each and leave running results of their own, which are then combined pairwise."""
    nest = writer.nest
    first = nest.inner[0]
    columns = " * ".join([*(writer.size(axis) for axis in nest.parallel), "n"])
    _final_arrays(writer)
    writer.put(f"const int64_t columns = {columns};")
    writer.put(f"const int64_t tasks = std::clamp<int64_t>({work(writer)} / SERIAL_BELOW, 1, 16 * THREADS);")
    rows = rows_emitter(writer)
    for sweep in nest.sweeps:
        for expr in _column_values(roots_of(sweep), rows, nest):
            name = f"c{len(rows.arrays)}"
            kind = SCALAR[expr.dtype]
            writer.put(f"std::vector<{kind}> {name}_(columns);", f"{kind}* {name} = {name}_.data();")
            at = f"{name}{_column(writer)}"
            with writer.inner_loops(nest.parallel):
                _assign(writer, expr, at, rows, _ROW)
            rows.arrays[expr] = at
        scalars = writer.hoisted(roots_of(sweep), rows)
        for node in sweep.reductions:
            kind, start = SCALAR[node.operand.dtype], f"{writer.accumulator(node, '1')}::start"
            writer.put(f"std::vector<{kind}> parts{writer.number(node)}(tasks * columns, {start});")
        with team(writer, 1, "tasks > 1", [sweep]), writer.block("for (int64_t task = 0; task < tasks; ++task) {"):
            size = writer.size(first)
            for node in sweep.reductions:
                number = writer.number(node)
                writer.put(f"{SCALAR[node.operand.dtype]}* s{number} = &parts{number}[task * columns];")
            split = {first: (f"{size} * task / tasks", f"{size} * (task + 1) / tasks")}
            with writer.inner_loops([*nest.inner, *nest.parallel], split):
                feed = _feeder(writer, _column(writer))
                writer.vector_loop(sweep, rows, scalars, _ROW, chains="1", feed=feed, kept={})
        for node in sweep.reductions:
            number = writer.number(node)
            writer.snippets.add("columns")
            writer.put(f"combine_columns<{writer.accumulator(node, '1')}>(parts{number}, tasks, columns);")
            writer.put(f"const {SCALAR[node.operand.dtype]}* t{number} = parts{number}.data();")
            rows.arrays[node] = f"t{number}{_column(writer)}"
    with writer.inner_loops(nest.parallel):
        _column_stores(writer, nest.row_stores, rows, _ROW)
        for node in nest.finals:
            _assign(writer, node.operand, f"m{writer.number(node)}{_column(writer)}", rows, _ROW)
    finish(writer)


def _column(writer: Writer) -> str:
    """Where a row of columns begins among all columns."""
    nest = writer.nest
    offset = writer.names.offset([(axis, writer.indices[axis]) for axis in nest.parallel])
    return f" + ({offset}) * n" if offset else ""


def _final_arrays(writer: Writer) -> None:
    columns = " * ".join([*(writer.size(axis) for axis in writer.nest.parallel), "n"])
    for node in writer.nest.finals:
        kind, number = SCALAR[node.operand.dtype], writer.number(node)
        writer.put(f"std::vector<{kind}> rows{number}({columns});", f"{kind}* m{number} = rows{number}.data();")


def _feeder(writer: Writer, column: str) -> Callable[[Reduce, str], list[str]]:
    """Adds vectors to running results in memory."""

    def feed(node: Reduce, value: str) -> list[str]:
        number = writer.number(node)
        at = f"s{number}{column} + j"
        if node.op.startswith("arg"):
            writer.snippets.add("columns")
            largest = "true" if node.op == "argmax" else "false"
            return [f"note_best<{largest}>({at}, a{number} + j, {value}, {writer.position(node)}, span);"]
        return [f"store({at}, {writer.accumulator(node, '1')}::join({value}, load({at}, span)), span);"]

    return feed


def _column_values(roots: Sequence[Expr], rows: Emitter, nest: Nest) -> list[Expr]:
    """Values that are the same for all rows of a column and follow from reductions: computed once a column."""
    inner = set(nest.inner)
    found: dict[Expr, None] = {}
    stack = list(reversed(roots))
    seen: set[Expr] = set()
    while stack:
        node = stack.pop()
        if node in seen or node in rows.arrays:
            continue
        seen.add(node)
        if not node.free & inner and _uses_arrays(node, rows):
            found[node] = None
        elif not isinstance(node, Reduce):
            stack.extend(reversed(node.args))
    return list(found)


def _uses_arrays(root: Expr, rows: Emitter) -> bool:
    stack = [root]
    while stack:
        node = stack.pop()
        if node in rows.arrays:
            return True
        if not isinstance(node, Reduce):
            stack.extend(node.args)
    return False


def _assign(writer: Writer, expr: Expr, at: str, rows: Emitter, bounds: tuple[str, str]) -> None:
    """Computes one value for every column of a range."""
    writer.hoisted([expr], rows)
    body = Emitter(writer.names, rows.known, vector=True, prefix="v")
    body.arrays = dict(rows.arrays)
    body.count([expr])
    value = body.value(expr)
    with writer.block(f"sweep<1>({', '.join(bounds)}, [=](auto span, int64_t j, auto) INLINE {{", "});"):
        writer.put(*body.flush(), f"store({at} + j, {value}, span);")


def _column_stores(writer: Writer, stores: Sequence[Store], rows: Emitter, bounds: tuple[str, str]) -> None:
    if not stores:
        return
    exprs = [store.expr for store in stores]
    writer.hoisted(exprs, rows)
    body = Emitter(writer.names, rows.known, vector=True, prefix="v")
    body.arrays = dict(rows.arrays)
    body.count(exprs)
    statements = [writer.vector_store(store, body) for store in stores]
    with writer.block(f"sweep<1>({', '.join(bounds)}, [=](auto span, int64_t j, auto) INLINE {{", "});"):
        writer.put(*body.flush(), *statements)
