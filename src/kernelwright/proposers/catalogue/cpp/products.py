"""Products as C++: what their two sides are along one line, and what becomes of a row of sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from kernelwright.proposers.catalogue.bounds import slope
from kernelwright.proposers.catalogue.build import const, substitute
from kernelwright.proposers.catalogue.cpp.expressions import Emitter
from kernelwright.proposers.catalogue.cpp.writer import Writer, rows_emitter, spoken
from kernelwright.proposers.catalogue.ir import Apply, Axis, Const, Expr, Load, Size, walk
from kernelwright.proposers.catalogue.products import Product
from kernelwright.proposers.catalogue.resolve import Interner

Letter = Literal["batch", "row", "column", "step"]


def blocked(writer: Writer) -> None:
    """A call of `multiply` with this kernel's sides and results."""
    product = writer.nest.product
    assert product is not None
    writer.snippets |= {"product"}
    groups: dict[Letter, tuple[Axis, ...]] = {
        "batch": product.batch, "row": product.m, "column": product.n, "step": product.k
    }  # fmt: skip
    along = [_lies_along_steps(side, product) for side in (product.left, product.right)]
    for name, side, own, steps in (
        ("left", product.left, "row", along[0]), ("right", product.right, "column", along[1])
    ):  # fmt: skip
        fixed, line = (own, "step") if steps else ("step", own)
        writer.put(f"// {name}[{', '.join(groups_of(side, groups))}] = {spoken(side)}")
        opening = f"const auto {name} = [=](int64_t batch, int64_t {fixed}, int64_t {line}, int64_t count, float* line) INLINE {{"
        with writer.block(opening, "};"):
            _side(writer, side, {"batch": product.batch, fixed: groups[fixed]}, line, groups[line])
    writer.put("// What is stored of each row of sums.")
    with writer.block(
        "const auto finish = [=](int64_t batch, int64_t row, int64_t column, int64_t count, const float* sums) INLINE {",
        "};",
    ):
        _results(writer, product)
    sizes = [_size(writer, axes) for axes in groups.values()]
    writer.put(
        f"multiply<{', '.join(map(_cpp_bool, along))}>({', '.join(sizes)}, left, right, finish);"
    )


def groups_of(side: Expr, groups: dict[Letter, tuple[Axis, ...]]) -> list[str]:
    """The letters that a side depends on."""
    return [letter for letter, axes in groups.items() if side.free & set(axes)]


def _cpp_bool(value: bool) -> str:
    return "true" if value else "false"


def _size(writer: Writer, axes: Sequence[Axis]) -> str:
    return " * ".join(writer.full_size(axis) for axis in axes) or "1"


def _lies_along_steps(side: Expr, product: Product) -> bool:
    """Whether a side's values follow each other in memory along the summed axes."""
    loads = [node for node in walk([side]) if isinstance(node, Load)]
    largest = max(loads, key=lambda load: load.buffer.size, default=None)
    own, steps = {*product.m, *product.n}, set(product.k)
    for term in reversed(largest.terms if largest else ()):
        axes = {term.axis} if term.at is None else term.at.free
        if axes & own:
            return False
        if axes & steps:
            return True
    return True


class _LineWriter(Writer):
    """Writes what happens along one line: sizes keep their names, since a function has lines along several axes."""

    def size(self, axis: Axis) -> str:
        return self.full_size(axis)


def _side(
    writer: Writer, side: Expr, fixed: dict[Letter, tuple[Axis, ...]], line: Letter, axes: tuple[Axis, ...]
) -> None:
    """Statements that write a line of one side, or find it in memory."""
    inner = axes[-1]
    conditions, value = _guarded(side, inner)
    lines = _line_writer(writer, inner)
    for letter, group in fixed.items():
        lines.put(*_coordinates(lines, group, letter, side.free))
    address = _address(lines, value, axes) if not conditions else None
    if address:
        lines.put(f"return {address} + {line};")
    else:
        _runs(lines, axes, line, side.free, "float* to = line", _filling(lines, value, conditions, inner))
        lines.put("return static_cast<const float*>(line);")
    _take(writer, lines)


def _line_writer(writer: Writer, inner: Axis) -> _LineWriter:
    lines = _LineWriter(replace(writer.nest, vector=inner), writer.leaf_size, writer.pointer)
    lines.indices |= {axis: index for axis, index in writer.indices.items() if axis is not inner}
    return lines


def _take(writer: Writer, lines: Writer) -> None:
    writer.put(*lines.lines)
    writer.snippets |= lines.snippets


def _coordinates(lines: Writer, group: Sequence[Axis], flat: str, used: frozenset[Axis]) -> list[str]:
    """Declares the positions along the axes of a group that are used, from the position along all of them."""
    found = []
    for number, axis in enumerate(group):
        if axis not in used:
            continue
        rest = " * ".join(lines.full_size(other) for other in group[number + 1 :])
        text = f"{flat} / ({rest})" if " * " in rest else f"{flat} / {rest}" if rest else flat
        text += f" % {lines.full_size(axis)}" if number else ""
        found.append(f"const int64_t {lines.indices[axis]} = {text};")
    return found


def _address(lines: Writer, value: Expr, axes: Sequence[Axis]) -> str | None:
    """Where a line lies in memory as it is needed."""
    if not isinstance(value, Load) or value.buffer.dtype != "float32" or len(axes) > 1:
        return None
    *outer, last = value.terms
    if last.at is not None or last.axis is not axes[-1] or any(axes[-1] in (term.at or value).free for term in outer if term.at):
        return None
    rows = rows_emitter(lines)
    coordinates = [(term.axis, lines.indices[term.axis] if term.at is None else rows.emit([term.at])[0]) for term in outer]
    lines.put(*rows.flush())
    offset = lines.names.offset([*coordinates, (last.axis, "0")]).removesuffix(" + 0")
    name = lines.pointer(value.buffer)
    return name if offset == "0" else f"{name} + {offset}"


def _runs(
    lines: Writer, axes: Sequence[Axis], flat: str, used: frozenset[Axis], memory: str, body: list[str]
) -> None:
    """Writes `body` for each run of positions along the innermost axis; `memory` declares where the line lies."""
    *outer, inner = axes
    if not outer:
        lines.put(f"const int64_t first = {flat}, last = {flat} + count;", f"{memory} - first;", *body)
        return
    size = lines.full_size(inner)
    with lines.block("for (int64_t done = 0, run; done < count; done += run) {"):
        lines.put(f"const int64_t at = {flat} + done, first = at % {size};")
        lines.put(*_coordinates(lines, axes, "at", used - {inner}))
        lines.put(f"run = std::min(count - done, {size} - first);", "const int64_t last = first + run;")
        lines.put(f"{memory} + done - first;", *body)


def _filling(lines: Writer, value: Expr, conditions: Sequence[Expr], inner: Axis) -> list[str]:
    """Statements that write one run: 0 where conditions do not hold."""
    at = _line_writer(lines, inner)
    rows = rows_emitter(at)
    at.hoisted([value], rows)
    bounds = ("first", "last")
    if conditions:
        bounds = ("begin", "end")
        at.put("int64_t begin = first, end = last;")
        for condition in conditions:
            at.put(*_clipped(rows, condition, inner))
        at.put("std::fill(to + first, to + begin, 0.0f);")
    body = Emitter(at.names, rows.known, vector=True, prefix="v")
    body.count([value])
    text = body.value(value)
    with at.block(f"sweep<1>({bounds[0]}, {bounds[1]}, [=](auto span, int64_t j, auto) INLINE {{", "});"):
        at.put(*body.flush(), f"store(to + j, {text}, span);")
    if conditions:
        at.put("std::fill(to + end, to + last, 0.0f);")
    lines.snippets |= at.snippets
    return at.lines


def _clipped(rows: Emitter, condition: Expr, inner: Axis) -> list[str]:
    """Narrows [begin, end) to where a condition holds."""
    if inner not in condition.free:
        (text,) = rows.emit([condition])
        return [*rows.flush(), f"if (!{text}) end = begin;"]
    assert isinstance(condition, Apply)
    at, limit = condition.operands
    base, size = rows.emit([substitute(at, inner, const(0, "int64")), limit])
    stride = slope(at, inner)
    if condition.op == "ge":
        return [*rows.flush(), f"from_zero(begin, end, {base}, {stride});"]
    return [*rows.flush(), f"below(begin, end, {base}, {stride}, {size});"]


def _guarded(side: Expr, inner: Axis) -> tuple[list[Expr], Expr]:
    """Takes conditions apart outside of which a side is 0 and which hold for one run of positions: these, and what the
    side is where they hold."""
    conditions: list[Expr] = []
    while isinstance(side, Apply) and side.op == "where":
        condition, value, otherwise = side.operands
        parts = _conjuncts(condition)
        if not (isinstance(otherwise, Const) and otherwise.value == 0 and all(_is_range(part, inner) for part in parts)):
            break
        conditions += parts
        side = value
    held = {(part.args[0], part.op) for part in conditions if isinstance(part, Apply)}
    swap: dict[Expr, Expr] = {}
    for node in walk([side]):
        if isinstance(node, Apply) and node.op in ("max", "min") and node.dtype == "int64":
            at = swap.get(node.operands[0], node.operands[0])
            if (at, "ge" if node.op == "max" else "lt") in held:
                swap[node] = at
    return conditions, Interner().intern([side], swap)[0] if swap else side


def _conjuncts(condition: Expr) -> list[Expr]:
    if isinstance(condition, Apply) and condition.op == "and":
        return [part for operand in condition.operands for part in _conjuncts(operand)]
    return [condition]


def _is_range(condition: Expr, inner: Axis) -> bool:
    if inner not in condition.free:
        return True
    match condition:
        case Apply(op="ge", operands=(at, Const(value=0))) | Apply(op="lt", operands=(at, Size())):
            return (slope(at, inner) or 0) > 0
    return False


def _results(writer: Writer, product: Product) -> None:
    """Statements for one row of sums: everything that is elementwise in them, and the stores."""
    inner = product.n[-1]
    lines = _line_writer(writer, inner)
    stores = writer.nest.row_stores
    used = frozenset[Axis]().union(*(store.expr.free | set(store.buffer.axes) for store in stores))
    lines.put(*_coordinates(lines, product.batch, "batch", used), *_coordinates(lines, product.m, "row", used))
    at = _line_writer(writer, inner)
    rows = rows_emitter(at)
    exprs = [store.expr for store in stores]
    rows.arrays[product.total] = "sums"  # not to be computed as if it were the same in all lanes
    at.hoisted(exprs, rows)
    body = Emitter(at.names, rows.known, vector=True, prefix="v")
    body.known[product.total] = "total"
    body.count(exprs)
    statements = [at.vector_store(store, body) for store in stores]
    with at.block("sweep<1>(first, last, [=](auto span, int64_t j, auto) INLINE {", "});"):
        at.put("const F total = load(from + j, span);", *body.flush(), *statements)
    lines.snippets |= at.snippets
    _runs(lines, product.n, "column", used, "const float* from = sums", at.lines)
    _take(writer, lines)
