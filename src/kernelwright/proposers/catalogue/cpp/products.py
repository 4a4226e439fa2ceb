"""Products as C++: what their two sides are along one line, and what becomes of a row of sums."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from kernelwright.proposers.catalogue.build import const, substitute
from kernelwright.proposers.catalogue.cpp.expressions import Emitter
from kernelwright.proposers.catalogue.cpp.rows import row_sweep
from kernelwright.proposers.catalogue.cpp.writer import Writer, rows_emitter
from kernelwright.proposers.catalogue.ir import Axis, Buffer, Const, Expr, Load, Term, walk
from kernelwright.proposers.catalogue.products import Product
from kernelwright.proposers.catalogue.spoken import spoken

_ARGUMENTS = "int64_t batch, int64_t {fixed}, int64_t {along}, int64_t count, float* line"


def blocked(writer: Writer) -> None:
    """A call of `multiply` or `attend` with this kernel's sides and results."""
    product = writer.nest.product
    assert product is not None
    if writer.nest.made("winograd"):
        _windows(writer, product)
        return
    writer.snippets.add("product")
    if product.scores is not None:
        _attention(writer, product, product.scores)
        return
    _sides(writer, product, "left", "right")
    _finish(writer, product)
    in_place = product.readable and not writer.nest.made("stage", "right")
    where = "IN_PLACE" if in_place else _layout(product)
    sizes = [_size(writer, axes) for axes in (product.batch, product.m, product.n, product.k)]
    if product.pitch:
        sizes[2] = _columns_in_place(writer, product)
    functions = ["left", "right", "finish"]
    if product.counts is not None:
        functions.append("counts")
        _counts(writer, product, product.counts)
    shared = writer.nest.made("split_reduce", "step")
    writer.snippets |= {"shares"} if shared else set()
    tensorised = writer.nest.made("tensorise")
    writer.snippets |= {"amx"} if tensorised else set()
    name = "multiply_in_shares" if shared else "multiply_in_parts" if tensorised else "multiply"
    writer.put(f"{name}<{_along(product)}, {where}>({', '.join([*sizes, *functions])});")


def _windows(writer: Writer, product: Product) -> None:
    writer.snippets.add("winograd")
    _sides(writer, product, "left", "right")
    _finish(writer, product)
    assert product.pitch is not None  # windows of three have one
    *planes, down, across = product.n
    image = [_size(writer, planes), *(writer.full_size(axis) for axis in (down, across, *product.pitch[-2:]))]
    sizes = [_size(writer, axes) for axes in (product.batch, product.m, product.k[:-2])]
    tiles = writer.number_of("winograd")
    writer.put(f"multiply_windows<{tiles}>({', '.join(sizes)}, {{{', '.join(image)}}}, left, right, finish);")


def _counts(writer: Writer, product: Product, condition: Expr) -> None:
    writer.put("// Whether a step counts.")
    with writer.block("const auto counts = [=](int64_t batch, int64_t step) INLINE {", "};"):
        lines = _line_writer(writer, product.n[-1])
        _positions(lines, product, ("batch", "step"), condition.free)
        here = Emitter(lines.names, {}, vector=False, prefix="r")
        (text,) = here.emit([condition])
        lines.put(*here.flush(), f"return {text};")
        _take(writer, lines)


def _attention(writer: Writer, product: Product, scores: Product) -> None:
    writer.snippets.add("attention")
    _sides(writer, scores, "left", "right")
    writer.put(f"// A row of weights from one of scores: {spoken(product.left)}")
    arguments = "int64_t batch, int64_t row, int64_t first, int64_t last, float* scores, float* kept0"
    with writer.block(f"const auto weigh = [=]({arguments}) INLINE {{", "};"):
        _weights(writer, product)
    _sides(writer, product, "", "values")
    _finish(writer, product)
    sizes = [_size(writer, axes) for axes in (product.batch, product.m, product.k, scores.k, product.n)]
    kinds = f"{_along(scores)}, {_layout(scores)}, {_layout(product)}"
    functions = ["left", "right", "weigh", "values", "finish"]
    if scores.counts is not None and len(product.k) == 1:
        functions.append("reach")
        _reach(writer, product, scores.counts)
    writer.put(f"attend<{kinds}>({', '.join([*sizes, *functions])});")


def _reach(writer: Writer, product: Product, condition: Expr) -> None:
    writer.put("// Between which columns a row's scores may have a weight.")
    with writer.block("const auto reach = [=](int64_t batch, int64_t row) INLINE {", "};"):
        lines = _line_writer(writer, product.k[-1])
        _positions(lines, product, ("batch", "row"), condition.free)
        rows = rows_emitter(lines)
        lines.hoisted([condition], rows)
        body = Emitter(lines.names, rows.known, vector=True, prefix="v")
        body.count([condition])
        text = body.value(condition)
        size = lines.full_size(product.k[-1])
        with lines.block(f"return between({size}, [=](auto span, int64_t j) INLINE {{", "});"):
            lines.put(*body.flush(), f"return {text};")
        _take(writer, lines)


def _layout(product: Product) -> str:
    return "ALONG_STEPS" if product.right_along_k else "ALONG_COLUMNS"


def _along(product: Product) -> str:
    return "true" if product.left_along_k else "false"


def _sides(writer: Writer, product: Product, left: str, right: str) -> None:
    """What the two sides are along one line; one without a name is left out."""
    for name, side, own, in_steps in (
        (left, product.left, "row", product.left_along_k), (right, product.right, "column", product.right_along_k)
    ):  # fmt: skip
        if not name:
            continue
        fixed, along = (own, "step") if in_steps else ("step", own)
        writer.put(f"// {name}[{_letters(side, product)}] = {spoken(side)}")
        arguments = _ARGUMENTS.format(fixed=fixed, along=along)
        with writer.block(f"const auto {name} = [=]({arguments}) INLINE {{", "};"):
            _side(writer, product, side, fixed, along)


def _finish(writer: Writer, product: Product) -> None:
    writer.put("// What is stored of a row of sums.")
    arguments = "int64_t batch, int64_t row, int64_t column, int64_t count, const float* sums"
    with writer.block(f"const auto finish = [=]({arguments}) INLINE {{", "};"):
        _results(writer, product)


def _weights(writer: Writer, product: Product) -> None:
    """Sweeps along a row of scores, which the last one overwrites with the weights."""
    nest = writer.nest.weights
    assert nest is not None and nest.vector is not None
    lines = _LineWriter(nest, writer.leaf_size, lambda buffer: _row_name(writer, buffer), writer.fixed, writer.macro)
    lines.indices |= {axis: index for axis, index in writer.indices.items() if axis is not nest.vector}
    used = frozenset[Axis]().union(*(part.free for part in walk([product.left])))
    _positions(lines, product, ("batch", "row"), used)
    lines.put(f"const int64_t n = {lines.full_size(nest.vector)};")
    rows = rows_emitter(lines)
    kept = dict.fromkeys([expr for sweep in nest.sweeps for expr in sweep.keeps][:1], "kept0")
    bounds = ("first", "last") if len(product.k) == 1 else ("0", "n")
    for sweep in nest.sweeps:
        keeps = tuple(expr for expr in sweep.keeps if expr in kept)
        row_sweep(lines, replace(sweep, keeps=keeps), rows, kept, bounds=bounds)
    _take(writer, lines)


def _row_name(writer: Writer, buffer: Buffer) -> str:
    return buffer.name if buffer.name == "scores" else writer.pointer(buffer)


def _group(product: Product, letter: str) -> tuple[Axis, ...]:
    return {"batch": product.batch, "row": product.m, "column": product.n, "step": product.k}[letter]


def _letters(side: Expr, product: Product) -> str:
    letters = ("batch", "row", "column", "step")
    return ", ".join(letter for letter in letters if side.free & set(_group(product, letter)))


def _positions(lines: Writer, product: Product, letters: Sequence[str], used: Collection[Axis]) -> None:
    """Writes what the positions along groups of axes are, each made of those of its loop."""
    for letter in letters:
        group = _group(product, letter)
        lines.put(*_coordinates(group, group, letter, used, lines))


def _size(writer: Writer, axes: Sequence[Axis]) -> str:
    return " * ".join(writer.full_size(axis) for axis in axes) or "1"


def _columns_in_place(writer: Writer, product: Product) -> str:
    """Columns are counted as the right side lies in memory, what is between rows of an image included."""
    assert product.pitch is not None
    text = ""
    for axis, pitch in zip(product.n, product.pitch, strict=True):
        last = f"({writer.full_size(axis)} - 1)"
        text = f"({text} * {writer.full_size(pitch)} + {last})" if text else last
    return f"{text} + 1" if len(product.n) > 1 else writer.full_size(product.n[0])


class _LineWriter(Writer):
    """Writes what happens along one line: sizes keep their names, since a function has lines along several axes."""

    def size(self, axis: Axis) -> str:
        return self.full_size(axis)


def _line_writer(writer: Writer, inner: Axis) -> _LineWriter:
    nest = replace(writer.nest, vector=inner)
    lines = _LineWriter(nest, writer.leaf_size, writer.pointer, writer.fixed, writer.macro)
    lines.indices |= {axis: index for axis, index in writer.indices.items() if axis is not inner}
    return lines


def _take(writer: Writer, lines: Writer) -> None:
    writer.put(*lines.lines)
    writer.snippets |= lines.snippets


def _side(writer: Writer, product: Product, side: Expr, fixed: str, along: str) -> None:
    """Statements that write a line of one side, or find it in memory."""
    axes = _group(product, along)
    inner = axes[-1]
    lines = _line_writer(writer, inner)
    _positions(lines, product, ("batch", fixed), side.free)
    address = _address(lines, side, axes, product.pitch if along == "column" else None)
    if address:
        lines.put(f"return {address} + {along};")
    else:
        at = _line_writer(writer, inner)
        _values(at, side)
        _runs(lines, axes, along, side.free, "float* to = line", at.lines)
        lines.snippets |= at.snippets
        lines.put("return static_cast<const float*>(line);")
    _take(writer, lines)


def _coordinates(
    group: Sequence[Axis], pitch: Sequence[Axis], flat: str, used: Iterable[Axis], lines: Writer
) -> list[str]:
    """Declares the positions along the axes of a group that are used, from the position along all of them; an axis is
    as long there as its `pitch`."""
    found = []
    for number, axis in enumerate(group):
        if axis not in used:
            continue
        rest = " * ".join(lines.full_size(other) for other in pitch[number + 1 :])
        text = f"{flat} / ({rest})" if " * " in rest else f"{flat} / {rest}" if rest else flat
        text += f" % {lines.full_size(pitch[number])}" if number else ""
        found.append(f"const int64_t {lines.indices[axis]} = {text};")
    return found


def _address(lines: Writer, side: Expr, axes: Sequence[Axis], pitch: Sequence[Axis] | None) -> str | None:
    """Where a line lies in memory as it is needed: along the last dimensions of a tensor of floats."""
    if not isinstance(side, Load) or side.buffer.dtype != "float32" or side.otherwise is not None:
        return None
    outer, last = side.terms[: -len(axes)], side.terms[-len(axes) :]
    if pitch is None and [term.axis for term in last if term.at is None] != list(axes):
        return None
    if any(set(axes) & (term.at.free if term.at else {term.axis}) for term in outer):
        return None
    here = Emitter(lines.names, {}, vector=False, prefix="r")
    start = [(term.axis, _start(term, axes)) for term in side.terms]  # the caller adds the position along the line
    coordinates = [
        (axis, lines.indices[axis] if at is None else here.text(at) if not isinstance(at, Const) else str(at.value))
        for axis, at in start
    ]
    lines.put(*here.flush())
    offset = lines.names.offset(coordinates).removesuffix(" + 0")
    name = lines.pointer(side.buffer)
    return name if offset == "0" else f"{name} + {offset}"


def _start(term: Term, axes: Iterable[Axis]) -> Expr | None:
    """A coordinate at the first position along each of some axes."""
    if term.at is None:
        return const(0, "int64") if term.axis in axes else None
    at = term.at
    for axis in axes:
        at = substitute(at, axis, const(0, "int64"))
    return at


def _values(at: Writer, side: Expr) -> None:
    """Computes the values of one run."""
    rows = rows_emitter(at)
    at.hoisted([side], rows)
    body = Emitter(at.names, rows.known, vector=True, prefix="v")
    body.count([side])
    text = body.value(side)
    with at.block("sweep<1>(first, last, [=](auto span, int64_t j, auto) INLINE {", "});"):
        at.put(*body.flush(), f"store(to + j, {text}, span);")


def _runs(
    lines: Writer, axes: Sequence[Axis], flat: str, used: frozenset[Axis], memory: str, body: Sequence[str],
    pitch: Sequence[Axis] | None = None,
) -> None:  # fmt: skip
    """Writes `body` for each run of positions along the innermost axis; `memory` declares where the line lies."""
    *outer, inner = axes
    if not outer:
        lines.put(f"const int64_t first = {flat}, last = {flat} + count;", f"{memory} - first;", *body)
        return
    size = lines.full_size((pitch or axes)[-1])
    with lines.block("for (int64_t done = 0, run; done < count; done += run) {"):
        lines.put(f"const int64_t at = {flat} + done, first = at % {size};")
        lines.put(f"run = std::min(count - done, {size} - first);")
        lines.put(*_coordinates(axes, pitch or axes, "at", used - {inner}, lines))
        if pitch:
            lines.put(f"const int64_t last = std::min(first + run, {lines.full_size(inner)});")
            beyond = [f"{lines.indices[axis]} >= {lines.full_size(axis)}" for axis in outer[1:]]
            lines.put(*([f"if ({' || '.join(beyond)}) continue;  // between images"] if beyond else []))
        else:
            lines.put("const int64_t last = first + run;")
        lines.put(f"{memory} + done - first;", *body)


def _results(writer: Writer, product: Product) -> None:
    """Statements for one row of sums: everything that is elementwise in them, and the stores."""
    inner = product.n[-1]
    lines, at = _line_writer(writer, inner), _line_writer(writer, inner)
    stores = writer.nest.row_stores
    used = frozenset[Axis]().union(*(store.expr.free | set(store.buffer.axes) for store in stores))
    _positions(lines, product, ("batch", "row"), used)
    exprs = [store.expr for store in stores]
    rows = rows_emitter(at)
    rows.arrays[product.total] = "sums"  # differs from lane to lane
    at.hoisted(exprs, rows)
    body = Emitter(at.names, rows.known, vector=True, prefix="v")
    body.known[product.total] = "total"
    body.count(exprs)
    statements = [at.vector_store(store, body) for store in stores]
    with at.block("sweep<1>(first, last, [=](auto span, int64_t j, auto) INLINE {", "});"):
        at.put("const F total = load(from + j, span);", *body.flush(), *statements)
    lines.snippets |= at.snippets
    _runs(lines, product.n, "column", used, "const float* from = sums", at.lines, product.pitch)
    _take(writer, lines)
