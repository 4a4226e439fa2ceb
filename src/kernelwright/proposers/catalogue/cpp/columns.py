"""Nests that keep the vector axis: every lane is a column with running results of its own, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from kernelwright.proposers.catalogue.cpp.expressions import LANE, SCALAR, Emitter
from kernelwright.proposers.catalogue.cpp.teams import tasks, team, work
from kernelwright.proposers.catalogue.cpp.writer import Writer, finish, rows_emitter
from kernelwright.proposers.catalogue.ir import Apply, Expr, Load, Reduce, Scan, Store, Window
from kernelwright.proposers.catalogue.loops import Sweep

_BLOCK = ("begin", "end")
_ROW = ("0", "n")
_AHEAD = "4"
"""Rows of a tile that memory takes about as long for as for a first line."""


def tiles(writer: Writer) -> None:
    """Blocks of columns on their own: running results for a block stay in the first-level cache while rows go by."""
    nest = writer.nest
    _final_arrays(writer)
    with (
        team(writer, f"{work(writer)} > SERIAL_BELOW", nest.sweeps),
        writer.inner_loops(nest.parallel),
        _tiled(writer),
    ):
        rows = rows_emitter(writer)
        for sweep in nest.sweeps:
            for expr in _column_values(sweep.roots, rows, writer):
                name = f"c{len(rows.arrays)}"
                writer.put(f"{LANE[expr.dtype]} {name}_[{_tile(writer)}], *{name} = {name}_ - begin;")
                _assign(writer, expr, name, rows, _BLOCK)
                rows.arrays[expr] = name
            _tile_sweep(writer, sweep, rows)
        _column_stores(writer, nest.row_stores, rows, _BLOCK)
        for node in nest.finals:
            _assign(writer, node.operand, f"m{writer.number(node)}{_column(writer)}", rows, _BLOCK)
    finish(writer)


def _tile(writer: Writer) -> str:
    return writer.number_of("tile")


@contextmanager
def _tiled(writer: Writer) -> Iterator[None]:
    """The loop over blocks of columns."""
    size = _tile(writer)
    with writer.block(f"for (int64_t begin = 0; begin < n; begin += {size}) {{{writer.by('tile')}"):
        writer.put(f"const int64_t end = std::min<int64_t>(begin + {size}, n);")
        yield


def _tile_sweep(writer: Writer, sweep: Sweep, rows: Emitter) -> None:
    nest = writer.nest
    scalars = writer.hoisted(sweep.roots, rows)
    in_registers = _fits_in_registers(sweep, scalars)
    sums = [node for node in sweep.reductions if node.op == "sum"]
    running = {scan: _running_columns(writer, scan, sweep) for scan in sweep.scans}
    for node in sweep.reductions:
        number, kind = writer.number(node), SCALAR[node.operand.dtype]
        arrays = [("s", kind)] if node not in sums or not in_registers else []
        arrays += [("t", f"Wide<{kind}>")] if node in sums else []
        for name, of in arrays:
            writer.put(f"{of} {name}{number}_[{_tile(writer)}], *{name}{number} = {name}{number}_ - begin;")
            writer.put(f"std::fill_n({name}{number}_, {_tile(writer)}, {writer.accumulator(node, '1')}::start);")
        if node.op.startswith("arg"):
            writer.put(f"int32_t places{number}_[{_tile(writer)}] = {{}}, *places{number} = places{number}_ - begin;")
        name = "places" if node.op.startswith("arg") else "t" if node in sums else "s"
        rows.arrays[node] = f"{name}{number}"
    _rows_in_groups(writer, sweep, rows, scalars, sums, ("0", writer.size(nest.inner[0])), _BLOCK, running)


def _running_columns(writer: Writer, scan: Scan, sweep: Sweep) -> str:
    """Declares a scan's results so far, for the columns of a tile; returns what gives the next."""
    kind, name = f"Wide<{SCALAR[scan.dtype]}>", f"s{writer.number((scan, sweep))}"
    operation = f"{writer.running(scan)}<{kind}, 1>"
    writer.put(f"{kind} {name}_[{_tile(writer)}], *{name} = {name}_ - begin;")
    writer.put(f"std::fill_n({name}_, {_tile(writer)}, {operation}::start);")
    return f"run_on<{operation}>({name} + j, {{}}, span)"


def _group_sums(writer: Writer, node: Reduce) -> None:
    """Sums over a few rows, for the columns of a tile."""
    number, kind = writer.number(node), SCALAR[node.operand.dtype]
    writer.put(f"{kind} s{number}_[{_tile(writer)}] = {{}}, *s{number} = s{number}_ - begin;")


def _rows_in_groups(
    writer: Writer, sweep: Sweep, rows: Emitter, scalars: Sequence[Expr], sums: Sequence[Reduce],
    rows_bounds: tuple[str, str], bounds: tuple[str, str], running: Mapping[Scan, str] | None = None,
) -> None:  # fmt: skip
    """Sweeps over a range of the outermost reduced axis; long sums lose less if few rows at a time are added up as
    floats."""
    first, *others = writer.nest.inner
    begin, end = rows_bounds
    backward = sweep.backward
    if _fits_in_registers(sweep, scalars):
        _in_registers(writer, sweep, rows, scalars, rows_bounds, bounds)
        return

    def row() -> None:
        ahead = writer.next_rows(rows, _AHEAD) if sweep is writer.nest.sweeps[0] else ()
        writer.vector_loop(
            sweep, rows, scalars, bounds, chains="1", feed=_feeder(writer), kept={}, ahead=ahead, running=running
        )

    if not sums:
        with writer.inner_loops([first, *others], {first: rows_bounds}, backward=backward):
            row()
        return
    with writer.block(f"for (int64_t group = {begin}; group < {end}; group += GROUP) {{"):
        few = {first: ("group", f"std::min<int64_t>(group + GROUP, {end})")}
        with writer.inner_loops([first, *others], few, backward=backward):
            row()
        for node in sums:
            number = writer.number(node)
            writer.put(f"fold_columns(t{number}, s{number}, {', '.join(bounds)});")


def _fits_in_registers(sweep: Sweep, scalars: Sequence[Expr]) -> bool:
    """Whether running results can stay in registers while a few rows go by, and nothing dear is then computed again for
    each vector of a row."""
    in_registers = all(node.op in ("sum", "prod", "max", "min") for node in sweep.reductions)
    dtypes = {node.operand.dtype for node in sweep.reductions}
    known = dtypes <= {"float32", "float64", "int32", "int64"}
    return in_registers and known and not (sweep.stores or sweep.scans) and all(isinstance(e, Load) for e in scalars)


def _in_registers(
    writer: Writer, sweep: Sweep, rows: Emitter, scalars: Sequence[Expr], rows_bounds: tuple[str, str],
    bounds: tuple[str, str],
) -> None:  # fmt: skip
    """A few rows at a time, one vector of columns after the other: each running result is read and written once a few
    rows instead of once a row."""
    *outer, last = writer.nest.inner
    begin, end = ("0", writer.size(last)) if outer else rows_bounds
    few = {last: ("group", f"std::min<int64_t>(group + GROUP, {end})")}
    columns = f"sweep<1>({', '.join(bounds)}, [=](auto span, int64_t j, auto) INLINE {{{writer.by('vectorise')}"
    joins = {node: f"{writer.accumulator(node, '1')}::join" for node in sweep.reductions}
    with (
        writer.inner_loops(outer, dict(zip(outer, [rows_bounds], strict=False))),
        writer.block(f"for (int64_t group = {begin}; group < {end}; group += GROUP) {{"),
        writer.block(columns, "});"),
    ):
        for node in sweep.reductions:
            kind = SCALAR[node.operand.dtype]
            writer.put(f"auto few{writer.number(node)} = splat<{kind}>({writer.accumulator(node, '1')}::start);")
        with writer.inner_loops([last], few):
            uniform = Emitter(writer.names, rows.known, vector=False, prefix="u")
            uniform.hoist(scalars)
            body = Emitter(writer.names, uniform.known, vector=True, prefix="v")
            body.arrays = dict(rows.arrays)
            body.count(sweep.roots)
            names = {node: f"few{writer.number(node)}" for node in sweep.reductions}
            ahead = writer.next_rows(rows, "GROUP") if sweep is writer.nest.sweeps[0] else ()
            statements = [writer.fetched(address) for address in ahead]
            statements += [
                f"{names[node]} = {joins[node]}({body.value(value)}, {names[node]});" for node, value in sweep.fed
            ]
            writer.put(*uniform.flush(), *body.flush(), *statements)
        for node in sweep.reductions:
            number, kind = writer.number(node), SCALAR[node.operand.dtype]
            at, value = f"s{number} + j", f"few{number}"
            if node.op == "sum":
                at, value = f"t{number} + j", f"convert<Wide<{kind}>>(few{number})"
            writer.put(f"store({at}, {_joined(node, joins[node], value, at)}, span);")


def _joined(node: Reduce, join: str, value: str, at: str) -> str:
    """A running result in memory with what a few rows add to it."""
    return f"load({at}, span) + {value}" if node.op == "sum" else f"{join}({value}, load({at}, span))"


def shared_out(writer: Writer) -> None:
    """Few columns: tasks take rows each and leave running results of their own, which are then combined pairwise."""
    nest = writer.nest
    length = writer.size(nest.inner[0])
    _final_arrays(writer)
    writer.put(f"const int64_t tasks = std::clamp<int64_t>({work(writer)} / SERIAL_BELOW, 1, 4 * THREADS);")
    rows = rows_emitter(writer)
    for sweep in nest.sweeps:
        for expr in _column_values(sweep.roots, rows, writer):
            row_of(writer, expr, rows)
        scalars = writer.hoisted(sweep.roots, rows)
        sums = [node for node in sweep.reductions if node.op == "sum"]
        for node in sweep.reductions:
            start = f"{writer.accumulator(node, '1')}::start"
            writer.put(f"std::vector<{_part(node)}> parts{writer.number(node)}(tasks * n, {start});")
        with team(writer, "tasks > 1", [sweep]), writer.block(tasks(writer)):
            for node in sweep.reductions:
                number = writer.number(node)
                name = "t" if node in sums else "s"
                writer.put(f"{_part(node)}* {name}{number} = &parts{number}[task * n];")
            writer.put(f"const int64_t last = {length} * (task + 1) / tasks;")
            # Running sums of all columns might not fit into the first-level cache.
            with _tiled(writer):
                for node in sums if not _fits_in_registers(sweep, scalars) else ():
                    _group_sums(writer, node)
                _rows_in_groups(writer, sweep, rows, scalars, sums, (f"{length} * task / tasks", "last"), _BLOCK)
        for node in sweep.reductions:
            number = writer.number(node)
            writer.snippets.add("columns")
            accumulator = writer.accumulator(node, "1").replace(SCALAR[node.operand.dtype], _part(node))
            writer.put(f"combine_columns<{accumulator}>(parts{number}, tasks, n);")
            writer.put(f"const {_part(node)}* t{number} = parts{number}.data();")
            rows.arrays[node] = f"t{number}"
    _column_stores(writer, nest.row_stores, rows, _ROW)
    for node in nest.finals:
        _assign(writer, node.operand, f"m{writer.number(node)}", rows, _ROW)
    finish(writer)


def row_of(writer: Writer, expr: Expr, rows: Emitter) -> None:
    """Finds a value for every column, from which it is read from here on."""
    name, kind = f"c{len(rows.arrays)}", LANE[expr.dtype]
    writer.put(f"std::vector<{kind}> {name}_(n);", f"{kind}* {name} = {name}_.data();")
    _assign(writer, expr, name, rows, _ROW)
    rows.arrays[expr] = name


def _part(node: Reduce) -> str:
    kind = SCALAR[node.operand.dtype]
    return f"Wide<{kind}>" if node.op == "sum" else kind


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


def _feeder(writer: Writer) -> Callable[[Reduce, str], list[str]]:
    """Adds vectors to running results in memory."""

    def feed(node: Reduce, value: str) -> list[str]:
        number = writer.number(node)
        at = f"s{number} + j"
        if node.op.startswith("arg"):
            writer.snippets.add("columns")
            largest = "true" if node.op == "argmax" else "false"
            return [f"note_best<{largest}>({at}, places{number} + j, {value}, {writer.position(node)}, span);"]
        return [f"store({at}, {writer.accumulator(node, '1')}::join({value}, load({at}, span)), span);"]

    return feed


def _column_values(roots: Sequence[Expr], rows: Emitter, writer: Writer) -> list[Expr]:
    """Values that are the same for all rows of a column: computed once a column."""
    vector, inner = writer.nest.vector, {*writer.nest.inner, *writer.inside}
    found: dict[Expr, None] = {}
    stack = list(reversed(roots))
    seen: set[Expr] = set()
    while stack:
        node = stack.pop()
        if node in seen or node in rows.arrays:
            continue
        seen.add(node)
        if (
            not node.free & inner
            and vector in node.free
            and (isinstance(node, (Apply, Window)) or _uses_arrays(node, rows))
        ):
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
