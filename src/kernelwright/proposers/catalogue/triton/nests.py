"""Nests as Triton kernels: each program works on a block of the positions that are kept, by all that are combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kernelwright.proposers.catalogue.ir import IDENTITY, Expr, Load, Reduce, Scan, Store, walk
from kernelwright.proposers.catalogue.loops import Nest, Sweep
from kernelwright.proposers.catalogue.shifts import only_shifts
from kernelwright.proposers.catalogue.triton import pairs
from kernelwright.proposers.catalogue.triton.expressions import NARROW, Emitter, Scope, bare, number
from kernelwright.proposers.catalogue.triton.functions import (
    TAKEN,
    Function,
    combined_axes,
    described,
    heading,
    is_whole,
    kept_axes,
    one_by_one,
    other_axes,
)
from kernelwright.proposers.catalogue.triton.passing import passing
from kernelwright.proposers.catalogue.triton.space import Group, Space, bracketed, is_wide, pointer

_LOWEST = "-3.4028234663852886e38"
"""The lowest number that is finite: the distance from it is no NaN."""


def render(nest: Nest, halves: pairs.Pairs | None, cache: int) -> Function:
    """One nest as a kernel that takes tensors, sizes and the numbers of its blocks; `halves` where it makes pairs.
    `cache` is the size of the last cache in bytes."""
    return KernelText(nest, halves, cache).function()


class KernelText:
    """The text of one kernel while it is written."""

    def __init__(self, nest: Nest, halves: pairs.Pairs | None, cache: int) -> None:
        self.nest, self.halves = nest, halves
        self.kept, self.combined = kept_axes(nest), combined_axes(nest)
        names = {axis: f"i{place}" for place, axis in enumerate((*nest.parallel, *nest.inner))}
        if nest.vector is not None:
            names[nest.vector] = "j"
        self.sizes = {axis: f"n{name[1:]}" for axis, name in names.items()}
        for axis in other_axes(nest):
            self.sizes.setdefault(axis, f"m{len(self.sizes)}")
        in_rows = nest.kind == "rows"
        self.single = one_by_one(nest)
        """Whether what belongs to a row is a number, and a block has one direction."""
        self.dim, self.keep = int(in_rows and not self.single), "" if self.single else ", keep_dims=True"
        shapes = ("[:, None]", "[None, :]") if in_rows else ("[None, :]", "[:, None]")
        shapes = shapes if self.combined and not self.single else ("", "")
        if halves:  # a position along what is kept is that of a pair
            self.kept = tuple(axis for axis in nest.parallel if axis not in halves.phases)
        flat = [names[axes[0]] if len(axes) == 1 else text for axes, text in ((self.kept, "at"), (self.combined, "r"))]
        self.outer = Group(self.kept, flat[0], "" if self.single else "inside", shapes[0])
        self.inner = Group(self.combined, flat[1], "counts", shapes[1])
        self.arguments = nest.buffers
        groups = [group for group in (self.outer, self.inner) if group.axes]
        self.space = Space(groups, self.sizes, dict(names), is_wide(self.arguments))
        taken = {*TAKEN, *names.values(), *self.sizes.values(), *map(pointer, self.arguments)}
        self.scope = Scope.of(nest, taken, passing(nest, cache))

    def function(self) -> Function:
        """The finished kernel."""
        body = Emitter(self.space, {}, self.scope)
        body.put(*described(self.nest))
        if self.kept or self.combined:
            self._place(body)
        if self.combined:
            self._rows(body)
        elif self.halves:
            pairs.write(body, self.nest, self.halves, self.sizes)
        else:
            self._results(body)
        return self.finished(body, self.numbers)

    def _results(self, body: Emitter) -> None:
        """What a map stores."""
        (sweep,) = self.nest.sweeps
        self._write(body, sweep.stores)

    def finished(self, body: Emitter, numbers: Sequence[str], suffix: str = "", others: Sequence[str] = ()) -> Function:
        """The kernel, once all is written: one of several where its name has a suffix; `others` are tensors of these
        alone."""
        used = {name: axis for axis, name in self.sizes.items()}
        head = heading(self.nest.name + suffix, [*map(pointer, self.arguments), *others], (*used, *numbers))
        text = "\n".join([*head, *body.lines]) + "\n"
        return Function(
            self.nest, text, tuple(self.arguments), used, self.kept, self.combined, frozenset(self.scope.snippets)
        )

    @property
    def numbers(self) -> Sequence[str]:
        """The names of the numbers of its blocks."""
        if not self.combined:
            return ["BLOCK"] if self.kept else []
        rows, stages = [] if self.single else ["ROWS"], [] if is_whole(self.nest) else ["STAGES"]
        return [*rows, "BLOCK", *stages]

    def _place(self, body: Emitter) -> None:
        """The positions that a program keeps."""
        group = self.outer
        if not group.axes:
            body.put("at = 0" if self.single else f"at = tl.arange(0, ROWS){self.outer.shape}")
            return
        block = "ROWS" if self.combined else "BLOCK"
        program = "tl.program_id(0).to(tl.int64)" if self.space.wide else "tl.program_id(0)"
        if self.single:
            body.put(f"{group.flat} = {program}", *self.space.positions(group))
        else:
            body.put(*self._positions(group, program, block))

    def _positions(self, group: Group, which: str, block: str) -> list[str]:
        """Statements for the positions of one of a group's blocks, and which of them there are."""
        exist = [f"{group.mask} = {group.flat} < {self.space.size(group.axes)}"] if group.mask else []
        at = f"{group.flat} = {which} * {block} + tl.arange(0, {block}){group.shape}"
        return [at, *exist, *self.space.positions(group)]

    def _rows(self, body: Emitter) -> None:
        """Sweeps along what is combined, then what is known once they are done."""
        if is_whole(self.nest):
            self._along(body, "")
        self._of_rows(body)

    def _of_rows(self, body: Emitter) -> None:
        """What is found of a program's rows."""
        nest, whole = self.nest, is_whole(self.nest)
        if whole:
            body.count(root for sweep in nest.sweeps for root in sweep.roots)
        for sweep in nest.sweeps:
            if whole:
                self._run(body, sweep.roots)
                for node in sweep.reductions:
                    self._combine(body, node)
                self._write(body, sweep.stores)
            else:
                self._sweep(body, sweep)
        self._write(body, nest.row_stores, scalars=True)

    def _along(self, body: Emitter, start: str, *, backward: bool = False) -> None:
        """The positions of a block along what is combined, from the far end where it goes backward."""
        group, size = self.inner, self.space.size(self.inner.axes)
        at, exist = f"{start}tl.arange(0, BLOCK){group.shape}", f"{group.flat} < {size}"
        if backward:
            at, exist = f"{bracketed(size)} - 1 - ({at})", f"{group.flat} >= 0"
        body.put(f"{group.flat} = {at}")
        if group in body.space.groups:
            body.put(f"{group.mask} = {exist}")
        body.put(*self.space.positions(group))

    def _combine(self, body: Emitter, node: Reduce) -> None:
        """A reduction of one block."""
        value = self._counted(body, node.operand, node.op)
        body.known[node] = self._result(body, node, value)

    def _run(self, body: Emitter, roots: Sequence[Expr]) -> None:
        """The running results along one block that values need and that are not known yet."""
        for node in walk(roots):
            if isinstance(node, Scan) and node not in body.known:
                value, way = self._counted(body, node.operand, node.op), ", reverse=True" if node.backward else ""
                body.named(node, f"tl.cum{node.op}({value}, {self.dim}{way})", "running")

    def _not_begun(self, scan: Scan, end: str) -> str:
        """What running results begin with, for each place of what is kept."""
        shape = "()" if self.single else "(1, ROWS)" if self.dim == 0 else "(ROWS, 1)"
        return f"{end} = tl.full({shape}, {self._identity(scan.op, scan.dtype)}, tl.{scan.dtype})"

    def _run_on(self, loop: Emitter, scan: Scan, end: str) -> None:
        """Running results along one block after the other, where `end` is what the last one ended with."""
        value = self._counted(loop, scan.operand, scan.op)
        if not scan.operand.free >= {*self.kept, *self.combined}:
            value = f"({value}) + tl.zeros({self._shape()}, tl.{scan.dtype})"
        name = loop.fresh_name("value")
        loop.put(f"{name} = {bare(value)}")
        loop.named(scan, loop.combined(scan.op, f"tl.cum{scan.op}({name}, {self.dim})", end, scan.dtype), "running")
        loop.put(f"{end} = {loop.combined(scan.op, end, self._all(name, scan.op), scan.dtype)}")

    def _all(self, value: str, op: str) -> str:
        """The sum or the product of a block."""
        if op == "sum":
            return f"tl.sum({value}, {self.dim}{self.keep})"
        self.scope.snippets.add("times")
        return f"tl.reduce({value}, {self.dim}, times{self.keep})"

    def _counted(self, body: Emitter, operand: Expr, op: str) -> str:
        """What is combined, with what changes nothing where there is no position."""
        value = body.value(operand)
        value = f"{body.text(operand)}.to(tl.int32)" if operand.dtype == "bool" else value
        if op.startswith("arg") and operand.dtype.startswith("float"):  # NaN is larger than all, and smaller
            value = body.named(operand, value) if operand not in body.known else value
            beyond = self._identity("min" if op == "argmax" else "max", operand.dtype)
            value = f"tl.where({value} != {value}, {beyond}, {value})"
        exist = body.space.mask(self.combined)
        return f"tl.where({exist}, {value}, {self._identity(op, operand.dtype)})" if exist else value

    def _identity(self, op: str, dtype: str) -> str:
        op = {"argmax": "max", "argmin": "min"}.get(op, op)
        if dtype.startswith("float"):
            return number(float(IDENTITY[op]))
        if op in ("max", "min"):
            bits = 63 if dtype == "int64" else 31
            return str(-(2**bits)) if op == "max" else str(2**bits - 1)
        return str(int(IDENTITY[op]))

    def _result(self, body: Emitter, node: Reduce, value: str, name: str = "") -> str:
        """All positions of a block combined into one, by that name where one is given."""
        dtype = node.operand.dtype
        if node.op in ("argmax", "argmin"):
            text = f"tl.{node.op}({value}, {self.dim}{self.keep})"
        elif node.op in ("sum", "prod"):
            text = self._all(value, node.op)
        elif dtype.startswith("float") and not only_shifts(node, self.nest.stores):
            joined = {"max": "larger", "min": "smaller"}[node.op]
            self.scope.snippets.add(joined)
            text = f"tl.reduce({value}, {self.dim}, {joined}{self.keep})"
        else:
            text = f"tl.{node.op}({value}, {self.dim}{self.keep})"
        text = f"{text} != 0" if node.dtype == "bool" else text
        name = name or body.fresh_name(_NAMES[node.op])
        body.put(f"{name} = {text}")
        return name

    @staticmethod
    def result_name(node: Reduce) -> str:
        """What a reduction's result is called, with a number where there are several."""
        return _NAMES[node.op]

    def _sweep(self, body: Emitter, sweep: Sweep, first: str = "0", last: str = "") -> dict[Reduce, str]:
        """Blocks of positions one after the other, all or those between two bounds: whole blocks, then what is left of
        one. Returns the results' names."""
        body.hoist(sweep.roots, frozenset(self.combined))
        names: dict[Reduce, str] = {}
        for node in sweep.reductions:
            names[node] = body.fresh_name(_NAMES[node.op])
            body.put(*self._begun(node, names[node], sweep))
        scans = frozenset(sweep.scans)
        ends = {node: body.fresh_name("end") for node in walk(sweep.roots) if isinstance(node, Scan) and node in scans}
        body.put(*(self._not_begun(scan, name) for scan, name in ends.items()))
        last = last or self.space.size(self.combined)
        before, count = ("", bracketed(last)) if first == "0" else (f"{first} + ", f"({last} - {first})")
        body.put(f"whole = {before}{count} // BLOCK * BLOCK")
        everywhere = [replace(group, mask="") if group is self.inner else group for group in self.space.groups]
        space = replace(self.space, groups=everywhere)
        rest, back = f"for start in tl.range(whole, {last}, BLOCK):", self.turns(sweep)
        if back:
            body.put("# Backward: what was read last is in a cache.", rest)
            self._block(body, sweep, names, ends, self.space)
        body.put(f"for {'turn' if back else 'start'} in tl.range({first}, whole, BLOCK, num_stages=STAGES):")
        body.put(*([f"    start = {before}whole - BLOCK - turn"] if back else []))
        self._block(body, sweep, names, ends, space)
        if not back:
            body.put(rest)
            self._block(body, sweep, names, ends, self.space)
        for node, most in sweep.online.items():
            self._end_online(body, node, most, names)
        for node in sweep.plain:
            body.known[node] = self._ended(body, node, names[node])
        return names

    def turns(self, sweep: Sweep) -> bool:
        """Whether it goes from the end of a row to its beginning, the other way than the sweep before it."""
        ordered = sweep.scans or any(node.op.startswith("arg") for node in sweep.reductions)
        return self.nest.sweeps.index(sweep) % 2 == 1 and not ordered

    def _block(
        self, body: Emitter, sweep: Sweep, names: dict[Reduce, str], ends: dict[Scan, str], space: Space
    ) -> None:
        """What is done with the positions of a block, all of which count where `space` has no mask for them."""
        loop = body.inner(space)
        self._along(loop, "start + ", backward=sweep.backward)
        loop.count(sweep.roots)
        for scan, end in ends.items():
            self._run_on(loop, scan, end)
        for node in sweep.plain:
            self._feed(loop, node, names[node], backward=sweep.backward)
        for node, most in sweep.online.items():
            self._feed_online(loop, most, names[node], names[most])
        self._write(loop, sweep.stores)
        body.lines += loop.lines

    def _shape(self, most: Reduce | None = None) -> str:
        """Of what is kept for each place of a block, or for each few places that a maximum is first found of."""
        sides = self._sides(most)
        return f"({', '.join(sides)}{'' if sides[1:] else ','})"

    def _sides(self, most: Reduce | None) -> list[str]:
        if self.nest.kind != "rows":
            return ["BLOCK", "ROWS"]
        block = "BLOCK" if most is None else f"BLOCK // {_together(most)}"
        return [block] if self.single else ["ROWS", block]

    def _begun(self, node: Reduce, name: str, sweep: Sweep) -> list[str]:
        """What a reduction begins with, for each place of a block."""
        dtype = "int32" if node.operand.dtype == "bool" else node.operand.dtype
        identity, shape = self._identity(node.op, node.operand.dtype), self._shape()
        if node in sweep.online.values():
            identity, shape = _LOWEST, self._shape(node)
        elif node in sweep.online:
            shape = self._shape(sweep.online[node])
        lines = [f"{name} = tl.full({shape}, {identity}, tl.{dtype})"]
        if node.op.startswith("arg"):
            lines.append(f"{name}_at = tl.zeros({self._shape()}, tl.int32)")
        return lines

    def _feed(self, loop: Emitter, node: Reduce, name: str, *, backward: bool) -> None:
        value = self._counted(loop, node.operand, node.op)
        dtype = node.operand.dtype
        if not node.op.startswith("arg"):
            loop.put(f"{name} = {loop.combined(node.op, name, value, dtype)}")
            return
        sign = ">" if node.op == "argmax" else "<"
        found = loop.fresh_name("found")
        better = f"{found} {sign} {name}"
        if backward:  # of equal ones the last that is met is the first
            exist = f" & {self.inner.mask}" if self.inner in loop.space.groups else ""
            better = f"({found} {sign}= {name}){exist}"
        loop.put(
            f"{found} = {value}",
            f"better = {better}",
            f"{name}_at = tl.where(better, {self.inner.flat}, {name}_at)",
            f"{name} = tl.where(better, {found}, {name})",
        )

    def _ended(self, body: Emitter, node: Reduce, name: str) -> str:
        if not node.op.startswith("arg"):
            return self._result(body, node, name, name)
        most = "max" if node.op == "argmax" else "min"
        body.put(
            f"{name}_best = tl.{most}({name}, {self.dim}{self.keep})",
            f"{name} = tl.min(tl.where({name} == {name}_best, {name}_at, {2**31 - 1}), {self.dim}{self.keep})",
        )
        return name

    def _feed_online(self, loop: Emitter, most: Reduce, total: str, largest: str) -> None:
        """A maximum and a sum of exponentials relative to it. What a thread reads at once (neighbours in a row) has its
        maximum found first, so that the sum so far shrinks once for all of them."""
        value, above = loop.fresh_name("value"), loop.fresh_name("above")
        exp = self.scope.function("exp_nonpos", most.operand.dtype)
        counted = self._counted(loop, most.operand, "max")
        highest, below, joined = value, above, "{}"
        if self.nest.kind == "rows":
            if not most.operand.free & set(self.combined):  # it is the same all along
                counted = f"tl.broadcast_to({counted}, {self._shape()})"
            sides, last = self._sides(most), len(self._sides(most))
            counted = f"tl.reshape({counted}, ({', '.join(sides)}, {_together(most)}))"
            highest, joined = f"tl.max({value}, {last})", f"tl.sum({{}}, {last})"
            below = f"{above}[{':, ' * last}None]"
        loop.put(
            f"{value} = {counted}",
            "# online_reduce(exponentials): the sum shrinks where a larger value comes",
            f"{above} = tl.maximum({largest}, {highest})",
            f"{total} = {total} * {exp}({largest} - {above}) + " + joined.format(f"{exp}({value} - {below})"),
            f"{largest} = {above}",
        )

    def _end_online(self, body: Emitter, node: Reduce, most: Reduce, names: dict[Reduce, str]) -> None:
        largest, total = names[most], names[node]
        exp = self.scope.function("exp_nonpos", most.operand.dtype)
        body.put(
            f"{largest}_of_all = tl.max({largest}, {self.dim}{self.keep})",
            f"{total} = tl.sum({total} * {exp}({largest} - {largest}_of_all), {self.dim}{self.keep})",
        )
        body.known |= {most: f"{largest}_of_all", node: total}

    def _write(self, body: Emitter, stores: Sequence[Store], *, scalars: bool = False) -> None:
        """Stores results."""
        body.count(store.expr for store in stores)
        for store in stores:
            value = body.value(store.expr)
            offset = body.space.offset([(axis, body.space.indices[axis]) for axis in store.buffer.axes])
            if scalars and not offset:
                offset = "at"
            exists = body.space.mask(store.buffer.axes)
            at = f"{pointer(store.buffer)} + {offset}" if offset else pointer(store.buffer)
            mask = f", mask={exists}" if exists else ""
            body.put(f"tl.store({at}, {value}{mask}{self.scope.policy(store.buffer)})")


def _together(most: Reduce) -> int:
    """Elements that a thread reads at once: 16 bytes of what is no wider than 16 bits, else half as many."""
    loads = (node.buffer.dtype for node in walk([most.operand]) if isinstance(node, Load))
    return 8 if all(dtype in NARROW for dtype in loads) else 4


_NAMES = {"sum": "total", "prod": "product", "max": "largest", "min": "smallest", "argmax": "place", "argmin": "place"}
