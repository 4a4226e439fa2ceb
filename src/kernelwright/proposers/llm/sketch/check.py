"""What cannot be right in a sketch."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from kernelwright import format as fmt
from kernelwright.proposers.llm.sketch import nodes, sizes
from kernelwright.proposers.llm.sketch.sizes import Size, TooComplicated, size
from kernelwright.proposers.llm.sketch.spell import expression
from kernelwright.targets.base import TargetInfo

MOST_PROBLEMS = 10
HINTS = ("parallel", "pipeline", "vectorize", "unroll")
DTYPE_BYTES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1,
    "bool": 1, "complex64": 8, "complex128": 16,
}  # fmt: skip
_REGISTERS = {"avx512": 32, "neon": 32}
_STACK_BYTES = 1 << 20
"""What a thread's stack surely has room for."""
_BLOCK_REGISTERS = 1 << 18
"""Bytes of a GPU's registers that one block may take: 65,536 registers, whatever its architecture (CUDA programming
guide, compute capabilities)."""


def memories(device: TargetInfo) -> dict[str, int]:
    """The memories that a buffer can be put in on this device, with the bytes of each that one core, or on a GPU one
    block, may use."""
    if device.multiprocessors:
        return {"register": _BLOCK_REGISTERS, "shared": device.l1_bytes, "l2": device.l2_bytes}
    return {
        "register": _REGISTERS.get(device.simd, 16) * device.vector_bytes,
        "l1": device.l1_bytes,
        "l2": device.l2_bytes,
        "cache": max(device.l2_bytes, device.l3_bytes),
        "stack": _STACK_BYTES,
    }


def check(sketch: nodes.Sketch, room: Mapping[str, int]) -> tuple[nodes.Problem, ...]:
    """What cannot be right, by line, at most `MOST_PROBLEMS`; nothing where all may be.

    It finds unknown names and names that are taken, buffers that are used before anything is in them, regions that do
    not fit their buffer, that lie outside of their tensor, or have too many or too few indices, tiles that do not
    divide their range without a `tail`, hints, dtypes and memories that do not exist, buffers that together are too
    large for their memory, and outputs that nothing is stored to. What depends on sizes that are not known is given the
    benefit of the doubt, but for tiles.

    Args:
        room: bytes of each memory, as `memories` says.
    """
    checker = _Checker(room)
    checker.block(sketch.statements, _Scope())
    for name, tensor in checker.tensors.items():
        if tensor.role == "output" and name not in checker.stored:
            checker.wrong(tensor.line, f"nothing is stored to the output {name}; add `store BUFFER -> {name}[...]`")
    return tuple(sorted(checker.problems, key=lambda each: each.line)[:MOST_PROBLEMS])


@dataclass(frozen=True)
class _Scope:
    """What is known in a block: buffers, the loops around it (the outermost first), and bytes taken of each memory."""

    buffers: dict[str, nodes.Alloc] = field(default_factory=dict)
    loops: tuple[nodes.Loop, ...] = ()
    taken: dict[str, int] = field(default_factory=dict)

    def inner(self, loop: nodes.Loop) -> _Scope:
        return _Scope(dict(self.buffers), (*self.loops, loop), dict(self.taken))


class _Checker:
    """Life cycle: `block` once, with the whole sketch; then `problems`, `tensors` and `stored` are complete."""

    def __init__(self, room: Mapping[str, int]) -> None:
        self.room = room
        self.problems: list[nodes.Problem] = []
        self.symbols: dict[str, nodes.Symbol] = {}
        self.values: dict[str, int] = {}
        self.tensors: dict[str, nodes.Tensor] = {}
        self.filled: set[str] = set()
        self.stored: set[str] = set()

    def wrong(self, line: int, text: str) -> None:
        self.problems.append(nodes.Problem(line, text))

    def block(self, statements: tuple[nodes.Statement, ...], scope: _Scope) -> None:
        for each in statements:
            try:
                self._statement(each, scope)
            except TooComplicated:
                self.wrong(each.line, "a size is too complicated; name it with `symbol NAME = NUMBER`")

    def _statement(self, it: nodes.Statement, scope: _Scope) -> None:
        if isinstance(it, nodes.Symbol | nodes.Tensor):
            self._declared(it, scope)
        elif isinstance(it, nodes.Alloc):
            self._alloc(it, scope)
        elif isinstance(it, nodes.Loop):
            self._loop(it, scope)
        elif isinstance(it, nodes.Compute):
            self._compute(it, scope)
        elif isinstance(it, nodes.Leave):
            self._leave(it, scope)
        else:
            self._moved(it, scope)

    def _declared(self, it: nodes.Symbol | nodes.Tensor, scope: _Scope) -> None:
        self._new(it.line, it.name, scope)
        if scope.loops:
            self.wrong(it.line, f"{it.name} is declared in a loop; symbols, inputs and outputs come before all loops")
        if isinstance(it, nodes.Tensor):
            self._type(it.line, it.type, scope)
            self.tensors[it.name] = it
            return
        self.symbols[it.name] = it
        if it.value is not None:
            self.values[it.name] = it.value
            if it.value < 1:
                self.wrong(it.line, f"the symbol {it.name} is {it.value}; sizes are 1 or more")

    def _alloc(self, it: nodes.Alloc, scope: _Scope) -> None:
        self._new(it.line, it.name, scope)
        known = self._type(it.line, it.type, scope)
        scope.buffers[it.name] = it
        self.filled.discard(it.name)
        if it.memory not in self.room:
            self.wrong(it.line, f"this device has no memory {it.memory}; write {_either(self.room)}")
        elif known:
            count = sizes.number(DTYPE_BYTES[it.type.dtype])
            for dim in it.type.dims:
                count *= size(dim, self.values)
            self._room(it, count.known or 0, scope)

    def _room(self, it: nodes.Alloc, taken: int, scope: _Scope) -> None:
        """Whether the buffers that live at the same time fit their memory."""
        before = scope.taken.get(it.memory, 0)
        scope.taken[it.memory] = before + taken
        if before + taken > self.room[it.memory]:
            others = f" beside the {fmt.size(before)} that others take" if before else ""
            self.wrong(
                it.line,
                f"{it.name} takes {fmt.size(taken)}{others}; {it.memory} has {fmt.size(self.room[it.memory])}; "
                "make the tile smaller or choose a larger memory",
            )

    def _loop(self, it: nodes.Loop, scope: _Scope) -> None:
        self._new(it.line, it.variable, scope)
        for hint in it.hints:
            if hint.name not in HINTS:
                self.wrong(it.line, f"there is no hint @{hint.name}; {_suggested(hint.name, HINTS)}")
            elif hint.argument == 0:
                self.wrong(it.line, f"@{hint.name}(0) does nothing; write a number of 1 or more, or none")
        known = [self._names(it.line, each, scope) for each in (it.start, it.stop, it.step)]
        if all(known):
            self._tiles(it)
        self.block(it.body, scope.inner(it))

    def _tiles(self, it: nodes.Loop) -> None:
        extent, step = size(it.stop, self.values) - size(it.start, self.values), size(it.step, self.values)
        if step.known is not None and step.known < 1:
            self.wrong(it.line, f"the step is {step.known}; it must be 1 or more")
        elif (sizes.number(1) - extent).positive:
            self.wrong(it.line, "the range is empty; START must be below STOP")
        elif not it.tail and not extent.divided_by(step):
            said = (
                f"{expression(it.stop)} - {expression(it.start)}"
                if it.start != nodes.Number(0)
                else expression(it.stop)
            )
            sure = extent.known is not None and step.known is not None
            what = "is no multiple of" if sure else "is not surely a multiple of"
            self.wrong(
                it.line,
                f"{said} {what} the step {expression(it.step)}; write `tail` after the step, and take care of the last "
                "tile, or choose a step that divides it",
            )

    def _compute(self, it: nodes.Compute, scope: _Scope) -> None:
        for name in it.sources:
            self._full(it.line, name, scope)
        for name in it.results:
            if self._buffer(it.line, name, scope):
                self.filled.add(name)

    def _leave(self, it: nodes.Leave, scope: _Scope) -> None:
        for name in it.sources:
            self._full(it.line, name, scope)
        if not scope.loops:
            self.wrong(it.line, "there is no loop here that could be left; `leave` stands in the loop that it ends")
        elif any(hint.name == "parallel" for hint in scope.loops[-1].hints):
            self.wrong(it.line, f"the loop over {scope.loops[-1].variable} is @parallel, so it cannot be left early")

    def _moved(self, it: nodes.Load | nodes.Store, scope: _Scope) -> None:
        buffer, region = self._buffer(it.line, it.buffer, scope), it.region
        tensor = self.tensors.get(region.tensor)
        if isinstance(it, nodes.Store):
            if buffer:
                self._full(it.line, it.buffer, scope)
            self.stored.add(region.tensor)
        else:
            self.filled.add(it.buffer)
        if tensor is None:
            self.wrong(
                it.line, f"there is no input or output {region.tensor}; {_suggested(region.tensor, self.tensors)}"
            )
            return
        if isinstance(it, nodes.Store) and tensor.role == "input":
            self.wrong(it.line, f"{region.tensor} is an input, which stays as it is; store to an output")
        if isinstance(it, nodes.Load) and tensor.role == "output" and region.tensor not in self.stored:
            self.wrong(it.line, f"the output {region.tensor} is loaded before anything is stored to it")
        shape = self._region(it.line, region, tensor, scope, inside=isinstance(it, nodes.Store) or not it.clip)
        if shape is not None and buffer is not None:
            self._fits(it.line, buffer, shape, f"{region.tensor}[...]")

    def _region(
        self, line: int, region: nodes.Region, tensor: nodes.Tensor, scope: _Scope, *, inside: bool
    ) -> list[Size] | None:
        """The shape of a region; None where it makes no sense."""
        dims = tensor.type.dims
        if len(region.indices) != len(dims):
            self.wrong(line, f"{tensor.name} has {fmt.plural(len(dims), 'dimension')}, not {len(region.indices)}")
            return None
        shape: list[Size] = []
        for index, dim in zip(region.indices, dims, strict=True):
            bounds = _bounds(index)
            if not all(self._names(line, each, scope) for each in (*bounds, dim)):
                return None
            if isinstance(index, nodes.Whole):
                shape.append(size(dim, self.values))
            elif isinstance(index, nodes.Span):
                shape.append(size(index.stop, self.values) - size(index.start, self.values))
            if inside and bounds:
                low, high = (size(each, self.values) for each in bounds)
                self._inside(line, tensor, (low, high), dim, scope)
        return shape

    def _inside(
        self, line: int, tensor: nodes.Tensor, part: tuple[Size, Size], dim: nodes.Expression, scope: _Scope
    ) -> None:
        beyond = self._largest(part[1] - size(dim, self.values), scope)
        before = self._largest(sizes.number(0) - part[0], scope)
        remedy = "keep within it" if tensor.role == "output" else "keep within it, or write `clip` after the region"
        if beyond is not None and beyond.positive:
            self.wrong(line, f"the region reaches beyond the {expression(dim)} of {tensor.name}; {remedy}")
        elif before is not None and before.positive:
            self.wrong(line, f"the region begins before {tensor.name} does; {remedy}")

    def _largest(self, it: Size, scope: _Scope) -> Size | None:
        """The most that it can be in the loops around; the last tile of a loop is cut off where it would reach over."""
        found: Size | None = it
        for loop in reversed(scope.loops):
            low, high = size(loop.start, self.values), size(loop.stop, self.values) - size(loop.step, self.values)
            found = found.replaced(loop.variable, low, high) if found else None
        return found

    def _fits(self, line: int, buffer: nodes.Alloc, shape: list[Size], what: str) -> None:
        if not self._names_of(buffer.type):
            return
        wanted = [size(dim, self.values) for dim in buffer.type.dims]
        pairs = zip(wanted, shape, strict=False)
        alike = all(want.terms == found.terms or want.open or found.open for want, found in pairs)
        if len(wanted) != len(shape) or not alike:
            self.wrong(
                line,
                f"{what} has {_shape(shape)} here and {buffer.name} has {_shape(wanted)}; make them the same "
                "(a dimension with one place, such as x[i], is not in the shape)",
            )

    def _new(self, line: int, name: str, scope: _Scope) -> None:
        loops = {loop.variable for loop in scope.loops}
        if name in self.symbols or name in self.tensors or name in scope.buffers or name in loops:
            self.wrong(line, f"{name} is there already; choose another name")

    def _type(self, line: int, it: nodes.Type, scope: _Scope) -> bool:
        """Whether dtype and dimensions are known; complains where they are not."""
        if it.dtype not in DTYPE_BYTES:
            self.wrong(line, f"there is no dtype {it.dtype}; {_suggested(it.dtype, DTYPE_BYTES)}")
        known = [self._names(line, dim, replace(scope, loops=())) for dim in it.dims]
        return it.dtype in DTYPE_BYTES and all(known)

    def _names(self, line: int, it: nodes.Expression, scope: _Scope) -> bool:
        """Whether all names in a size are known; complains about the first that is not."""
        known = {*self.symbols, *(loop.variable for loop in scope.loops)}
        unknown = next((name for name in _used(it) if name not in known), None)
        if unknown is not None:
            self.wrong(line, f"{unknown} is no symbol and no loop's variable here; {_suggested(unknown, known)}")
        return unknown is None

    def _names_of(self, it: nodes.Type) -> bool:
        return all(name in self.symbols for dim in it.dims for name in _used(dim))

    def _buffer(self, line: int, name: str, scope: _Scope) -> nodes.Alloc | None:
        buffer = scope.buffers.get(name)
        if buffer is None:
            what = f"there is no buffer {name} here; {_suggested(name, scope.buffers)}"
            if name in self.tensors:
                what = f"{name} is no buffer; load inputs into buffers, and store buffers to outputs"
            self.wrong(line, what)
        return buffer

    def _full(self, line: int, name: str, scope: _Scope) -> None:
        if self._buffer(line, name, scope) and name not in self.filled:
            self.wrong(line, f"{name} is used before anything is in it; load it or compute it first")


def _bounds(index: nodes.Index) -> tuple[nodes.Expression, ...]:
    """The first place of an index and the one after its last; nothing where the index names none."""
    if isinstance(index, nodes.At):
        return index.place, nodes.Operation("+", index.place, nodes.Number(1))
    return (index.start, index.stop) if isinstance(index, nodes.Span) else ()


def _used(it: nodes.Expression) -> Iterator[str]:
    if isinstance(it, nodes.Name):
        yield it.id
    elif not isinstance(it, nodes.Number):
        yield from _used(it.left)
        yield from _used(it.right)


def _shape(shape: list[Size]) -> str:
    return f"[{', '.join(map(_said, shape))}]"


def _said(it: Size) -> str:
    """A size in the order of its terms, e.g. `2*N + 8`."""
    parts = ["*".join(([] if factor == 1 and key else [str(factor)]) + list(key)) for key, factor in it.terms.items()]
    return " + ".join(parts) or "0"


def _either(names: Collection[str]) -> str:
    return f"one of {', '.join(sorted(names))}" if names else "none is declared"


def _suggested(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"there is {_either(known)}" if known else "none is declared"
