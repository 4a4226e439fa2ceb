"""One sweep along rows whose vector axis is reduced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kernelwright.proposers.catalogue.cpp.expressions import SCALAR, Emitter
from kernelwright.proposers.catalogue.cpp.writer import Writer, rows_emitter
from kernelwright.proposers.catalogue.ir import Expr, Reduce
from kernelwright.proposers.catalogue.loops import Sweep


def feeder(writer: Writer) -> Callable[[Reduce, str], list[str]]:
    """Adds vectors to accumulators in registers."""

    def feed(node: Reduce, value: str) -> list[str]:
        where = f"{writer.position(node)}, " if node.op.startswith("arg") else ""
        return [f"s{writer.number(node)}.add(u, {value}, {where}span);"]

    return feed


def chains(writer: Writer, sweep: Sweep) -> str:
    """How many independent accumulators a sweep has."""
    return writer.chains if sweep.reductions and not sweep.scans else "1"


def row_sweep(
    writer: Writer, sweep: Sweep, rows: Emitter, kept: Mapping[Expr, str], ahead: Sequence[str] = (),
    bounds: tuple[str, str] = ("0", "n"), declares: bool = True,
) -> None:  # fmt: skip
    """Feeds reductions, keeps values and writes stores for one row, and names what was reduced: as constants that it
    declares, or in variables that there are."""
    scalars = writer.hoisted(sweep.roots, rows)
    _begin(writer, sweep)
    running = {}
    for scan in sweep.scans:
        state, way = f"s{writer.number((scan, sweep))}", "true" if scan.backward else "false"
        writer.put(f"Running<{SCALAR[scan.dtype]}, {writer.running(scan)}, {way}> {state};")
        running[scan] = state + ".next({}, span)"
    with writer.inner_loops(writer.nest.inner, backward=sweep.backward):
        writer.vector_loop(
            sweep, rows, scalars, bounds, chains=chains(writer, sweep), feed=feeder(writer), kept=kept, ahead=ahead,
            running=running,
        )  # fmt: skip
    _end(writer, sweep, rows, declares=declares)


def _begin(writer: Writer, sweep: Sweep) -> None:
    """Declares accumulators."""
    for node in sweep.reductions:
        most = sweep.online.get(node)
        kind = writer.accumulator(node, writer.chains) if most is None else writer.online_sum()
        writer.put(f"{kind} s{writer.number(node)};")


def _end(writer: Writer, sweep: Sweep, rows: Emitter, *, declares: bool) -> None:
    """Names what was reduced."""
    for node in sweep.reductions:
        number = writer.number(node)
        at = ".at" if node.op.startswith("arg") else ""
        relative_to = rows.known[sweep.online[node]] if node in sweep.online else ""
        kind = f"const {SCALAR[node.dtype]} " if declares else ""
        writer.put(f"{kind}t{number} = s{number}.total({relative_to}){at};")
        rows.known[node] = f"t{number}"


def pipelined(writer: Writer, kept: Mapping[Expr, str], after: Callable[[Emitter], None]) -> None:
    """Rows `first` to `last`, the last sweep of each together with the first one of the next: memory is read and
    written all the time, and not only while a row's first and last sweep are made. `after` writes what comes once a
    row's sweeps are done."""
    nest = writer.nest
    axis = nest.parallel[-1]
    index = writer.indices[axis]
    begins, *between, ends = nest.sweeps
    carried = [(SCALAR[node.dtype], writer.number(node)) for node in begins.reductions]
    writer.put(*(f"{kind} next{number} = 0;" for kind, number in carried))
    with writer.block("{"):
        writer.put(f"const int64_t {index} = first;")
        row_sweep(writer, begins, rows_emitter(writer), kept)
        writer.put(*(f"next{number} = t{number};" for _, number in carried))
    with writer.block(f"for (int64_t {index} = first; {index} < last; ++{index}) {{{writer.by('pipeline')}"):
        rows = rows_emitter(writer)
        writer.put(*(f"const {kind} t{number} = next{number};" for kind, number in carried))
        rows.known |= {node: f"t{writer.number(node)}" for node in begins.reductions}
        for place, sweep in enumerate(between):
            row_sweep(writer, sweep, rows, kept, writer.next_rows(rows) if place == 0 else ())
        scalars = writer.hoisted(ends.roots, rows)
        writer.put(*(f"{SCALAR[node.dtype]} t{writer.number(node)};" for node in ends.reductions))
        with writer.block(f"if ({index} + 1 < last) {{"):
            _together(writer, ends, rows, scalars, kept)
            writer.put(*(f"next{number} = t{number};" for _, number in carried))
        with writer.block("else {"):
            row_sweep(writer, ends, rows, kept, declares=False)
        after(rows)


def _together(writer: Writer, ends: Sweep, rows: Emitter, scalars: Sequence[Expr], kept: Mapping[Expr, str]) -> None:
    """The last sweep of a row and the first one of the next."""
    nest = writer.nest
    axis, begins = nest.parallel[-1], nest.sweeps[0]
    feed, following = feeder(writer), Emitter(writer.names, {}, vector=False, prefix="n")
    _begin(writer, ends)
    _begin(writer, begins)
    writer.put(f"const int64_t next = {writer.indices[axis]} + 1;")
    with writer.called(axis, "next"):
        later = writer.hoisted(begins.roots, following)
    count = writer.chains if ends.reductions or begins.reductions else "1"
    with writer.inner_loops(nest.inner):
        bodies = [writer.body(ends, rows, scalars, feed=feed, kept=kept)]
        with writer.called(axis, "next"):
            bodies.append(writer.body(begins, following, later, feed=feed, kept=kept, prefix="q"))
        writer.loop(bodies, ("0", "n"), chains=count)
    _end(writer, ends, rows, declares=False)
    _end(writer, begins, following, declares=True)
