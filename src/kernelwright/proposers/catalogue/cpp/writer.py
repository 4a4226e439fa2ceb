"""What all kinds of nests share when they become C++: headers, hoisted scalars, vector sweeps, stores, accumulators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod

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
from kernelwright.proposers.catalogue.loops import Nest, Sweep, below, window_axes

_ACCUMULATOR = {"sum": "Sum", "prod": "Product", "max": "Largest", "min": "Smallest"}
_SNIPPET = {"sum": "sums", "prod": "products", "max": "largest", "min": "smallest", "argmax": "arg", "argmin": "arg"}
_SHARE = 4096
"""Elements that are little enough to be one thread's."""


class Writer:
    """Lines of one function, and the names in force while they are written.

    Args:
        nest: the loops.
        leaf_size: C++ names of the sizes of the graph's axes.
        pointer: C++ names of pointers to buffers.
        fixed: sizes that are the same in all cases, which products are compiled for.
    """

    def __init__(
        self,
        nest: Nest,
        leaf_size: Callable[[Axis], str],
        pointer: Callable[[Buffer], str],
        fixed: Callable[[Axis], int | None],
    ) -> None:
        self.nest = nest
        self.fixed = fixed
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
            self.put(f"const bool past_{name} = STREAM && aligned({name}, n);")
        for buffer in self.arguments:
            self.snippets |= {"bfloat16": {"half"}, "float16": {"fp16"}}.get(buffer.dtype, set())

    @property
    def streamed(self) -> list[str]:
        """Outputs whose rows are written as whole vectors, so that they could go past the caches."""
        nest = self.nest
        big = (store for sweep in nest.sweeps for store in sweep.stores)
        return list(
            dict.fromkeys(self.pointer(store.buffer) for store in big if store.buffer.axes[-1:] == (nest.vector,))
        )

    def number(self, node: object) -> int:
        """The number of a reduction, or of a scan in a sweep, in this function."""
        return self.numbers.setdefault(node, len(self.numbers))

    def accumulator(self, node: Reduce, chains: str) -> str:
        """The type that accumulates a reduction."""
        self.snippets.add(_SNIPPET[node.op])
        kind = SCALAR[node.operand.dtype]
        if node.op.startswith("arg"):
            return f"ArgBest<{kind}, {chains}, {'true' if node.op == 'argmax' else 'false'}>"
        return f"{_ACCUMULATOR[node.op]}<{kind}, {chains}>"

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
        fresh: bool = True, running: Mapping[Scan, str] | None = None,
    ) -> None:  # fmt: skip
        """One sweep along the vector axis: feeds reductions, keeps values, writes stores.

        `feed` gives the statements that add a value to a reduction; `kept` names row buffers by expression; `ahead` are
        addresses to fetch into cache meanwhile; `fresh` says that what it reads was not read before; `running` gives
        the next result of each scan, with `{}` for the next value.
        """
        uniform = Emitter(self.names, rows.known, vector=False, prefix="u")
        uniform.hoist(scalars)
        self.put(*uniform.flush())
        body = Emitter(self.names, uniform.known, vector=True, prefix="v")
        body.arrays = dict(rows.arrays)
        body.running = {scan: text for scan, text in (running or {}).items()}  # noqa: C416 (widens the keys' type)
        body.known |= {expr: f"load({name} + j, span)" for expr, name in kept.items() if expr not in sweep.keeps}
        body.count(roots_of(sweep))
        statements = [f"if (AHEAD) fetch({address} + j);" for address in ahead]
        statements += [f"fetch_beyond<BEYOND>({address});" for address in (self.streams(sweep) if fresh else ())]
        statements += [f"store({kept[expr]} + j, {body.value(expr)}, span);" for expr in sweep.keeps]
        for node in sweep.reductions:
            statements += feed(node, body.value(node.operand))
        statements += [self.vector_store(store, body) for store in sweep.stores]
        in_registers = [node for node in sweep.reductions if f"s{self.number(node)}.add" in " ".join(statements)]
        folds = "".join(f", s{self.number(node)}" for node in in_registers if node.op == "sum")
        states = [text.partition(".")[0] for text in body.running.values() if ".next(" in text]
        captured = "".join(f", &{name}" for name in (*(f"s{self.number(node)}" for node in in_registers), *states))
        kind = "sweep_back" if states and goes_backward(sweep) else f"sweep<{chains}>"
        with self.block(
            f"{kind}({', '.join(bounds)}, [={captured}](auto span, int64_t j, auto u) INLINE {{",
            f"}}{folds});",
        ):
            self.put(*body.flush(), *statements)

    def vector_store(self, store: Store, body: Emitter) -> str:
        """The statement that writes a vector."""
        buffer, vector, name = store.buffer, self.nest.vector, self.pointer(store.buffer)
        value = body.value(store.expr)
        value = f"-({value})" if store.expr.dtype == "bool" else value
        coordinates = [(axis, self.indices[axis]) for axis in buffer.axes]
        if buffer.axes[-1:] == (vector,):
            past = f", past_{name}" if name in self.streamed else ""
            return f"store({name} + {self.names.offset(coordinates)}, {value}, span{past});"
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

    def next_rows(self, sweep: Sweep) -> list[str]:
        """Where the next row's values lie that a sweep will read, for those that follow each other in memory."""
        if not self.nest.parallel:
            return []
        last = self.nest.parallel[-1]
        found = []
        for load in _loads(sweep):
            axes = [term.axis for term in load.terms if term.at is None]
            if len(axes) == len(load.terms) and last in axes and axes[-1] is self.nest.vector:
                at = [
                    (axis, f"({self.indices[axis]} + 1)" if axis is last else self.indices[axis]) for axis in axes[:-1]
                ]
                at.append((axes[-1], "0"))
                found.append(f"{self.pointer(load.buffer)} + {self.names.offset(at).removesuffix(' + 0')}")
        return list(dict.fromkeys(found))

    def streams(self, sweep: Sweep) -> list[str]:
        """Where a sweep reads that goes through large tensors from one end to the other."""
        everything = {*self.nest.parallel, *self.nest.inner, self.nest.vector}
        found = []
        for load in _loads(sweep):
            along = [term.axis for term in load.terms if term.at is None]
            fixed = all(isinstance(term.at, Const) for term in load.terms if term.at is not None)
            if fixed and everything <= set(along) and load.terms[-1].axis is along[-1] is self.nest.vector:
                found.append(f"{self.pointer(load.buffer)} + {self.names.offset(self._coordinates(load))}")
        return list(dict.fromkeys(found))

    def _coordinates(self, load: Load) -> list[tuple[Axis, str]]:
        return [
            (term.axis, f"int64_t({term.at.value})" if isinstance(term.at, Const) else self.indices[term.axis])
            for term in load.terms
        ]

    def position(self, node: Reduce) -> str:
        """Where along its axes an arg-reduction is, at the first lane."""
        return self.names.offset([(axis, self.indices[axis]) for axis in node.axes])


def roots_of(sweep: Sweep) -> list[Expr]:
    """What a sweep evaluates at each position."""
    return [*(node.operand for node in sweep.reductions), *sweep.keeps, *(store.expr for store in sweep.stores)]


def scans_of(sweep: Sweep) -> list[Scan]:
    """The running results that a sweep goes along with."""
    found = dict.fromkeys(node for root in roots_of(sweep) for node in below(root))
    return [node for node in found if isinstance(node, Scan)]


def goes_backward(sweep: Sweep) -> bool:
    """Whether a sweep begins at the far end."""
    return any(scan.backward for scan in scans_of(sweep))


def _loads(sweep: Sweep) -> list[Load]:
    """What a sweep reads at each position."""
    return [node for root in roots_of(sweep) for node in below(root) if isinstance(node, Load)]


@contextmanager
def team(
    writer: Writer, loops: int, condition: str, sweeps: Sequence[Sweep], private: Sequence[str] = ()
) -> Iterator[None]:
    """Threads that share out the loops written inside.

    Args:
        loops: how many loops, nested directly in each other, make up the work to share out; compilers make less of
            loops that have been made one, so that short inner ones are left as they are.
        condition: when it is worth more than one thread.
        sweeps: whose stores may go past the caches; each thread then makes sure of its own before it ends.
        private: declarations of what each thread has to itself.
    """
    streams = bool({writer.pointer(store.buffer) for sweep in sweeps for store in sweep.stores} & set(writer.streamed))
    if loops == 0:  # one row, one position after the other
        writer.put(*private)
        yield
        if streams:
            writer.put("if (STREAM) fence();")
        return
    together = _together(writer.nest, loops)
    collapse = f" collapse({together})" if together > 1 else ""
    if not streams and not private:
        writer.put(f"#pragma omp parallel for num_threads(THREADS) schedule(SCHEDULE){collapse} if ({condition})")
        yield
        return
    writer.put(f"#pragma omp parallel num_threads(THREADS) if ({condition})")
    with writer.block("{"):
        writer.put(*private, f"#pragma omp for schedule(SCHEDULE){collapse} nowait")
        yield
        if streams:
            writer.put("if (STREAM) fence();")


def _together(nest: Nest, loops: int) -> int:
    """How many of the outer loops are shared out as one: inner ones that go through little stay loops."""
    inside = prod(axis.size for axis in (*nest.inner, *((nest.vector,) if nest.vector else ())))
    sizes = [*(axis.size for axis in nest.parallel), 1][:loops]  # a loop over blocks goes through what is inside once
    while len(sizes) > 1 and inside * sizes[-1] <= _SHARE:
        inside *= sizes.pop()
    return len(sizes)


def work(writer: Writer) -> str:
    """How many elements the nest goes through, as a C++ expression."""
    nest = writer.nest
    sizes = [writer.size(axis) for axis in (*nest.parallel, *nest.inner)] + (["n"] if nest.vector else [])
    return " * ".join(sizes) or "1"


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
