"""What all kinds of nests share when they become C++: headers, hoisted scalars, vector sweeps, stores, accumulators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from kernelwright.proposers.catalogue.build import substitute
from kernelwright.proposers.catalogue.cpp.expressions import SCALAR, Emitter, Names, memory_type
from kernelwright.proposers.catalogue.ir import (
    Axis,
    Buffer,
    Const,
    Expr,
    Iota,
    Load,
    Reduce,
    Scan,
    Size,
    Store,
    walk,
)
from kernelwright.proposers.catalogue.loops import Nest, Sweep, window_axes
from kernelwright.proposers.catalogue.rewrites import Rewrite
from kernelwright.proposers.catalogue.shifts import only_shifts

_ACCUMULATOR = {"sum": "Sum", "prod": "Product", "max": "Largest", "min": "Smallest"}
_SNIPPET = {"sum": "sums", "prod": "products", "max": "largest", "min": "smallest", "argmax": "arg", "argmin": "arg"}
Macro = Callable[[Rewrite], str]
"""C++ for a rewrite's number."""


@dataclass(frozen=True)
class Body:
    """Statements of a sweep, the reductions that they feed in registers, and the names of scans' states."""

    lines: list[str]
    in_registers: list[Reduce]
    states: list[str]


class Writer:
    """Lines of one function, and the names in force while they are written.

    Args:
        nest: the loops.
        leaf_size: C++ names of the sizes of the graph's axes.
        pointer: C++ names of pointers to buffers.
        fixed: sizes that are the same in all cases, which products are compiled for.
        macro: C++ names of the numbers in the nest's rewrites.
    """

    def __init__(
        self,
        nest: Nest,
        leaf_size: Callable[[Axis], str],
        pointer: Callable[[Buffer], str],
        fixed: Callable[[Axis], int | None],
        macro: Macro,
    ) -> None:
        self.nest = nest
        self.fixed = fixed
        self.macro = macro
        self.leaf_size = leaf_size
        self.indices = {axis: f"i{number}" for number, axis in enumerate((*nest.parallel, *nest.inner))}
        if nest.vector is not None:
            self.indices[nest.vector] = "j"
        self.pointer = pointer
        self.names = Names(self.size, self.indices, nest.vector, pointer)
        self.snippets = self.names.snippets
        self.inside = window_axes(walk(store.expr for store in nest.stores))
        """The axes of windows: loops within a value."""
        self.numbers: dict[object, int] = {}
        self.lines: list[str] = []
        self.depth = 0

    def put(self, *lines: str) -> None:
        """Adds lines at the present depth."""
        self.lines += ["  " * self.depth + line for line in lines]

    @contextmanager
    def block(self, opening: str, closing: str = "}") -> Iterator[None]:
        """Lines written inside are one level deeper."""
        self.put(opening)
        self.depth += 1
        yield
        self.depth -= 1
        self.put(closing)

    def size(self, axis: Axis) -> str:
        """Text for the size of a loop's axis."""
        if axis is self.nest.vector:
            return "n"
        return self.full_size(axis)

    def full_size(self, axis: Axis) -> str:
        """The size in terms of the function's parameters."""
        leaves = [leaf for part in axis.resolve() for leaf in self.nest.leaves(part)]
        text = " * ".join(self.leaf_size(leaf) for leaf in leaves)
        return f"({text})" if len(leaves) > 1 else text

    @property
    def arguments(self) -> list[Buffer]:
        """The function's tensors: what is read, then what is written."""
        return [*self.nest.reads, *{store.buffer.name: store.buffer for store in self.nest.stores}.values()]

    @property
    def axes(self) -> list[Axis]:
        """The graph's axes whose sizes the function takes, in order of first use."""
        return [axis for axis in self.all_axes if self._constant(axis) is None]

    def _constant(self, axis: Axis) -> int | None:
        return self.fixed(axis) if self.nest.kind == "product" else None

    @property
    def all_axes(self) -> list[Axis]:
        """The graph's axes whose sizes the function needs."""
        loops = [*self.nest.parallel, *self.nest.inner, *([self.nest.vector] if self.nest.vector else [])]
        for node in walk(store.expr for store in self.nest.stores):
            if isinstance(node, (Size, Reduce)):
                loops += node.axes
            elif isinstance(node, Load):
                loops += [leaf for term in node.terms for leaf in term.axis.resolve()]
        return list(dict.fromkeys(leaf for axis in loops for leaf in self.nest.leaves(axis)))

    def header(self) -> None:
        """Pointers and sizes."""
        for axis in self.all_axes:
            if (size := self._constant(axis)) is not None:
                self.put(f"constexpr int64_t {self.leaf_size(axis)} = {size};")
        for buffer in self.nest.reads:
            name, kind = self.pointer(buffer), memory_type(buffer)
            self.put(f"const {kind}* {name} = data<const {kind}>({name}_);")
        for buffer in self.arguments[len(self.nest.reads) :]:
            name, kind = self.pointer(buffer), memory_type(buffer)
            self.put(f"{kind}* {name} = data<{kind}>({name}_);")
        if self.nest.vector is not None:
            self.put(f"const int64_t n = {self.full_size(self.nest.vector)};")
        for name in self.streamed:
            row = self.full_size(self.nest.product.n[-1]) if self.nest.product else "n"
            self.put(f"const bool past_{name} = {self.number_of('stage', 'stores')} && aligned({name}, {row});")
        for buffer in self.arguments:
            self.snippets |= {"bfloat16": {"half"}, "float16": {"fp16"}}.get(buffer.dtype, set())

    def number_of(self, name: str, on: str | None = None) -> str:
        """The number of the rewrite of that name; empty where there is no such rewrite."""
        rewrite = self.nest.made(name, on)
        return self.macro(rewrite) if rewrite else ""

    @property
    def chains(self) -> str:
        """How many independent accumulators reductions have."""
        return self.number_of("unroll") or "1"

    def by(self, *names: str) -> str:
        """A comment that says which rewrites made a loop."""
        found = [rewrite for name in names if (rewrite := self.nest.made(name))]
        return f"  // {', '.join(rewrite.text(None) for rewrite in found)}" if found else ""

    @property
    def streamed(self) -> list[str]:
        """Outputs that go past the caches, if their number says so."""
        streamed = self.nest.streamed if self.nest.made("stage", "stores") else []
        return [self.pointer(buffer) for buffer in streamed]

    def number(self, node: object) -> int:
        """The number of a reduction, or of a scan in a sweep, in this function."""
        return self.numbers.setdefault(node, len(self.numbers))

    def accumulator(self, node: Reduce, chains: str) -> str:
        """The type that accumulates a reduction."""
        self.snippets.add(_SNIPPET[node.op])
        kind = SCALAR[node.operand.dtype]
        if node.op.startswith("arg"):
            return f"ArgBest<{kind}, {chains}, {'true' if node.op == 'argmax' else 'false'}>"
        numbers = ", true" if node.op == "max" and only_shifts(node, self.nest.stores) else ""
        return f"{_ACCUMULATOR[node.op]}<{kind}, {chains}{numbers}>"

    def online_sum(self) -> str:
        """The type that accumulates a sum of exponentials relative to a maximum that is not known yet."""
        self.snippets |= {"exp", "sums", "largest", "online"}
        return f"Exponentials<{self.chains}>"

    def running(self, scan: Scan) -> str:
        """The template of what accumulates a scan's results."""
        self.snippets |= {"sums", _SNIPPET[scan.op], "running"}
        return _ACCUMULATOR[scan.op]

    def hoisted(self, roots: Sequence[Expr], rows: Emitter) -> list[Expr]:
        """Emits, ahead of a sweep, the scalars that depend on kept axes only; returns those that need inner loops'
        axes."""
        later: list[Expr] = []
        now: list[Expr] = []
        inner = set(self.nest.inner)
        for expr in self.uniform(roots, rows):
            (later if expr.free & inner else now).append(expr)
        rows.hoist(now)
        self.put(*rows.flush())
        return later

    def uniform(self, roots: Sequence[Expr], rows: Emitter) -> list[Expr]:
        """The largest subexpressions that are equal in all lanes and have no name yet."""
        found: dict[Expr, None] = {}
        seen: set[Expr] = set()
        stack = list(reversed(roots))
        while stack:
            node = stack.pop()
            if node in seen or node in rows.known or node in rows.arrays:
                continue
            seen.add(node)
            if self.nest.vector not in node.free and not node.free & self.inside:
                if not isinstance(node, (Const, Size, Iota)):
                    found[node] = None
            else:
                stack.extend(reversed(node.args))
        return list(found)

    @contextmanager
    def called(self, axis: Axis, name: str) -> Iterator[None]:
        """What is written inside is about the position of that name along an axis."""
        before, self.indices[axis] = self.indices[axis], name
        yield
        self.indices[axis] = before

    @contextmanager
    def inner_loops(
        self, axes: Sequence[Axis], bounds: Mapping[Axis, tuple[str, str]] | None = None, *, backward: bool = False
    ) -> Iterator[None]:
        """Plain loops over axes, each from its end if `backward`."""
        for axis in axes:
            begin, end = (bounds or {}).get(axis, ("0", self.size(axis)))
            index = self.indices[axis]
            count = f"from_end_{index}" if backward else index
            self.put(f"for (int64_t {count} = {begin}; {count} < {end}; ++{count}) {{")
            self.depth += 1
            if backward:
                self.put(f"const int64_t {index} = {self.size(axis)} - 1 - {count};")
        yield
        for _ in axes:
            self.depth -= 1
            self.put("}")

    def vector_loop(
        self, sweep: Sweep, rows: Emitter, scalars: Sequence[Expr], bounds: tuple[str, str],
        *, chains: str, feed: Callable[[Reduce, str], list[str]], kept: Mapping[Expr, str], ahead: Sequence[str] = (),
        running: Mapping[Scan, str] | None = None,
    ) -> None:  # fmt: skip
        """One sweep along the vector axis, as `body` has it."""
        body = self.body(sweep, rows, scalars, feed=feed, kept=kept, ahead=ahead, running=running)
        self.loop([body], bounds, chains=chains, backward=sweep.backward)

    def body(
        self, sweep: Sweep, rows: Emitter, scalars: Sequence[Expr],
        *, feed: Callable[[Reduce, str], list[str]], kept: Mapping[Expr, str], ahead: Sequence[str] = (),
        running: Mapping[Scan, str] | None = None, prefix: str = "u",
    ) -> Body:  # fmt: skip
        """What a sweep does with each vector: feeds reductions, keeps values, writes stores. Writes what is the same
        for all of them, under names with that prefix.

        `feed` gives the statements that add a value to a reduction; `kept` names row buffers by expression; `ahead` are
        addresses to fetch into cache meanwhile; `running` gives the next result of each scan, with `{}` for the next
        value.
        """
        uniform = Emitter(self.names, rows.known, vector=False, prefix=prefix)
        uniform.hoist(scalars)
        self.put(*uniform.flush())
        body = Emitter(self.names, uniform.known, vector=True, prefix="v")
        body.arrays = dict(rows.arrays)
        body.running = {scan: text for scan, text in (running or {}).items()}  # noqa: C416 (widens the keys' type)
        body.known |= {expr: f"load({name} + j, span)" for expr, name in kept.items() if expr not in sweep.keeps}
        body.count(sweep.roots)
        statements = [self.fetched(address) for address in ahead]
        statements += [f"fetch_beyond<{self.number_of('stage', 'reads')}>({at});" for at in self.streams(sweep)]
        statements += [f"store({kept[expr]} + j, {body.value(expr)}, span);" for expr in sweep.keeps]
        for node, value in sweep.fed:
            statements += feed(node, body.value(value))
        statements += [self.vector_store(store, body) for store in sweep.stores]
        in_registers = [node for node in sweep.reductions if f"s{self.number(node)}.add" in " ".join(statements)]
        states = [text.partition(".")[0] for text in body.running.values() if ".next(" in text]
        return Body([*body.flush(), *statements], in_registers, states)

    def loop(self, bodies: Sequence[Body], bounds: tuple[str, str], *, chains: str, backward: bool = False) -> None:
        """A loop along the vector axis that does all of these with each vector."""
        numbers = [(self.number(node), node.op) for body in bodies for node in body.in_registers]
        states = [state for body in bodies for state in body.states]
        folds = "".join(f", s{number}" for number, op in numbers if op == "sum")
        captured = "".join(f", &{name}" for name in (*(f"s{number}" for number, _ in numbers), *states))
        kind = "sweep_back" if states and backward else f"sweep<{chains}>"
        with self.block(
            f"{kind}({', '.join(bounds)}, [={captured}](auto span, int64_t j, auto u) INLINE {{"
            + self.by("vectorise", *(["unroll"] if chains != "1" else [])),
            f"}}{folds});",
        ):
            for body in bodies:
                with self.block("{") if len(bodies) > 1 else nullcontext():
                    self.put(*body.lines)

    def vector_store(self, store: Store, body: Emitter) -> str:
        """The statement that writes a vector."""
        buffer, vector, name = store.buffer, self.nest.vector, self.pointer(store.buffer)
        value = body.value(store.expr)
        value = f"-({value})" if store.expr.dtype == "bool" else value
        coordinates = [(axis, self.indices[axis]) for axis in buffer.axes]
        if buffer.axes[-1:] == (vector,):
            past = f", past_{name}" if name in self.streamed else ""
            return f"store({name} + {self.names.offset(coordinates)}, {value}, span{past});"
        inside = buffer.axes[buffer.axes.index(vector) + 1 :] if vector in buffer.axes else ()
        if inside and all(self._constant(leaf) for axis in inside for leaf in self.nest.leaves(axis)):
            self.snippets.add("strided")
            step = " * ".join(self.full_size(axis) for axis in inside)
            return f"store_every<{step}>({name} + {self.names.offset(coordinates)}, {value}, span);"
        coordinates = [(axis, "positions<int64_t>(j)" if axis is vector else text) for axis, text in coordinates]
        return f"scatter({name}, {self.names.offset(coordinates)}, {value}, span);"

    def scalar_store(self, store: Store, emitter: Emitter) -> None:
        """Writes one element."""
        (text,) = emitter.emit([store.expr])
        self.put(*emitter.flush())
        offset = self.names.offset([(axis, self.indices[axis]) for axis in store.buffer.axes])
        kind = memory_type(store.buffer)
        value = text if kind == SCALAR[store.expr.dtype] else f"{kind}({text})"
        self.put(f"{self.pointer(store.buffer)}[{offset or '0'}] = {value};")

    def next_rows(self, rows: Emitter, step: str = "1") -> list[str]:
        """Where the values lie that the first sweep will read of the next row, or of one so many ahead; writes
        statements for what that takes."""
        loads, row = self.nest.next_row() if self.nest.made("stage", "next_row") else [], self.nest.in_turn
        if not loads or row is None:
            return []
        found = list[str]()
        # Not beyond the last one: an index is read there, not only fetched.
        to = f"std::min<int64_t>({self.indices[row]} + {step}, {self.full_size(row)} - 1)"
        if self.nest.kind != "rows" and self.nest.sweeps[0].backward:
            to = f"std::max<int64_t>({self.indices[row]} - {step}, 0)"
        self.put(f"const int64_t next = {to};")
        following = Iota("int64", Axis(row.size))
        here = Emitter(self.names, {**rows.known, following: "next"}, vector=False, prefix="h")
        for load in loads:
            *outer, last = load.terms
            moved = [term.at and substitute(term.at, row, following) for term in outer]
            here.count([to for to in moved if to is not None])
            at = [
                (term.axis, here.text(to) if to else "next" if term.axis is row else self.indices[term.axis])
                for term, to in zip(outer, moved, strict=True)
            ]
            address = self.names.offset([*at, (last.axis, "0")]).removesuffix(" + 0")
            found.append(f"{self.pointer(load.buffer)} + {address}")
        self.put(*here.flush())
        return list(dict.fromkeys(found))

    def fetched(self, address: str) -> str:
        """The statement that has a cache read there, where it is to."""
        return f"if ({self.number_of('stage', 'next_row')}) fetch({address} + j);"

    def streams(self, sweep: Sweep) -> list[str]:
        """Where a sweep reads that goes through large tensors from one end to the other."""
        loads = self.nest.streams(sweep) if self.nest.made("stage", "reads") else []
        found = [f"{self.pointer(load.buffer)} + {self.names.offset(self._coordinates(load))}" for load in loads]
        return list(dict.fromkeys(found))

    def _coordinates(self, load: Load) -> list[tuple[Axis, str]]:
        return [
            (term.axis, f"int64_t({term.at.value})" if isinstance(term.at, Const) else self.indices[term.axis])
            for term in load.terms
        ]

    def position(self, node: Reduce) -> str:
        """Where along its axes an arg-reduction is, at the first lane."""
        return self.names.offset([(axis, self.indices[axis]) for axis in node.axes])


def rows_emitter(writer: Writer) -> Emitter:
    """An emitter for what is computed once a row."""
    return Emitter(writer.names, {}, vector=False, prefix="r")


def finish(writer: Writer) -> None:
    """Reductions over rows, added up in row order whatever thread did which row, then what depends on them."""
    nest = writer.nest
    final = Emitter(writer.names, {}, vector=False, prefix="f")
    for node in nest.finals:
        number = writer.number(node)
        writer.put(f"const {SCALAR[node.dtype]} t{number} = {writer.accumulator(node, '1')}::combined(rows{number});")
        final.known[node] = f"t{number}"
    for store in nest.final_stores:
        writer.scalar_store(store, final)
