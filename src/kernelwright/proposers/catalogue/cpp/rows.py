"""One sweep along rows whose vector axis is reduced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kernelwright.proposers.catalogue.cpp.expressions import SCALAR, Emitter
from kernelwright.proposers.catalogue.cpp.writer import Writer
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
    bounds: tuple[str, str] = ("0", "n"),
) -> None:  # fmt: skip
    """Feeds reductions, keeps values and writes stores for one row, and names what was reduced."""
    nest = writer.nest
    scalars = writer.hoisted(sweep.roots, rows)
    for node in sweep.reductions:
        most = sweep.online.get(node)
        kind = writer.accumulator(node, writer.chains) if most is None else writer.online_sum()
        writer.put(f"{kind} s{writer.number(node)};")
    running = {}
    for scan in sweep.scans:
        state, way = f"s{writer.number((scan, sweep))}", "true" if scan.backward else "false"
        writer.put(f"Running<{SCALAR[scan.dtype]}, {writer.running(scan)}, {way}> {state};")
        running[scan] = state + ".next({}, span)"
    with writer.inner_loops(nest.inner, backward=sweep.backward):
        writer.vector_loop(
            sweep, rows, scalars, bounds, chains=chains(writer, sweep), feed=feeder(writer), kept=kept, ahead=ahead,
            running=running,
        )  # fmt: skip
    for node in sweep.reductions:
        number = writer.number(node)
        at = ".at" if node.op.startswith("arg") else ""
        relative_to = rows.known[sweep.online[node]] if node in sweep.online else ""
        writer.put(f"const {SCALAR[node.dtype]} t{number} = s{number}.total({relative_to}){at};")
        rows.known[node] = f"t{number}"
