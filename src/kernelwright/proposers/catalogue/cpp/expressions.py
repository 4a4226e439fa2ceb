"""Expressions as C++: vectors of lanes along the vector axis where they depend on it, scalars elsewhere."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from kernelwright.proposers.catalogue.cpp import loads, positions, windows
from kernelwright.proposers.catalogue.ir import (
    Apply,
    Axis,
    Buffer,
    Const,
    Expr,
    Iota,
    Load,
    Reduce,
    Scan,
    Size,
    Term,
    Window,
)

SCALAR = {"float32": "float", "float64": "double", "int32": "int32_t", "int64": "int64_t", "bool": "bool"}
VECTOR = {"float32": "F", "float64": "D", "int32": "I", "int64": "L", "bool": "M"}
MEMORY = SCALAR | {"uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "bfloat16": "bf16", "float16": "fp16"}
MEMORY["bool"] = "uint8_t"
LANE = SCALAR | {"bool": "int32_t"}
"""The C++ types of what arrays of values keep, a lane of a vector each."""

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^", "mod": "%"}
_COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_POLYNOMIAL = frozenset(
    {"exp", "exp_nonpos", "expm1", "log", "log1p", "log2", "log10", "tanh", "sigmoid", "erf", "erf_and_1"}
)
_ROUNDING = frozenset(["round", "floor", "ceil", "trunc"])
_LONGEST = 90


class Names:
    """What the C++ around an expression calls things.

    Args:
        sizes: text for an axis' size.
        indices: text for an axis' loop variable.
        vector: the vector axis, whose loop variable is `j`; None where everything is scalar.
        pointer: text for the pointer to a buffer's elements.
    """

    def __init__(
        self,
        sizes: Callable[[Axis], str],
        indices: dict[Axis, str],
        vector: Axis | None,
        pointer: Callable[[Buffer], str],
    ) -> None:
        self.sizes, self.indices, self.vector, self.pointer = sizes, indices, vector, pointer
        self.snippets: set[str] = set()
        self.windows = self.loops = 0

    def offset(self, coordinates: Iterable[tuple[Axis, str]]) -> str:
        """Row-major offset by Horner's rule; each coordinate with the axis whose size it ranges over."""
        text = ""
        for axis, coordinate in coordinates:
            if not text:
                text = coordinate
                continue
            outer = f"({_bare(text)})" if re.search(r" [-+?/%] ", text) else text
            text = f"{outer} * {self.sizes(axis)} + {coordinate}"
        return text


class Emitter:
    """Turns expressions into statements, each value once.

    Args:
        names: what surrounding code calls things.
        known: expressions that already have a name here (reduced values, kept values, hoisted scalars).
        vector: whether to emit vectors (for what depends on the vector axis) or scalars only.
        prefix: of the names given to values.
    """

    def __init__(self, names: Names, known: Mapping[Expr, str], *, vector: bool, prefix: str) -> None:
        self.names, self.vector, self.prefix = names, vector, prefix
        self.known: dict[Expr, str] = dict(known)
        self.arrays: dict[Expr, str] = {}
        self.running: dict[Expr, str] = {}
        """What gives the next of a scan's results, with `{}` for the next value."""
        self.true: set[Expr] = set()
        """Conditions that hold here."""
        self.lines: list[str] = []
        self._uses: Counter[Expr] = Counter()
        self._numbers = itertools.count()

    def emit(self, roots: Sequence[Expr]) -> list[str]:
        """Statements for whatever `roots` need; returns the roots' own text."""
        self.count(roots)
        return [self.text(root) for root in roots]

    def count(self, roots: Sequence[Expr]) -> None:
        """Announces what will be asked for, so that values used more than once get a name."""
        self._uses.update(_uses(roots, {*self.known, *self.arrays}))

    def value(self, expr: Expr) -> str:
        """The value as the argument of a function: a vector where vectors are emitted."""
        return _bare(self.as_vector(expr))

    def kind(self, expr: Expr) -> str:
        """The C++ type of a value."""
        return VECTOR[expr.dtype] if self.is_vector(expr) else SCALAR[expr.dtype]

    def is_vector(self, expr: Expr) -> bool:
        """Whether the value differs from lane to lane."""
        return self.vector and self.names.vector in expr.free

    def text(self, expr: Expr) -> str:
        """A C++ expression for the value: an atom, a call, or in parentheses."""
        if expr in self.known:
            return self.known[expr]
        if expr in self.arrays and not isinstance(expr, Reduce):
            return self._named(expr, f"load({self.arrays[expr]} + j, span)")
        text = self._fresh_text(expr)
        shared = self._uses[expr] > 1 and not isinstance(expr, (Const, Size))
        once = isinstance(expr, (Window, Scan)) or (isinstance(expr, Load) and self.is_vector(expr))
        if shared or len(text) > _LONGEST or once:
            text = self._named(expr, text)
        return text

    def flush(self) -> list[str]:
        """The statements emitted since the last flush."""
        lines, self.lines = self.lines, []
        return lines

    def hoist(self, exprs: Iterable[Expr]) -> None:
        """Gives scalars a name ahead of the loop that uses them."""
        for expr in exprs:
            if expr not in self.known:
                (text,) = self.emit([expr])
                if not isinstance(expr, Size) and expr not in self.known:
                    self._named(expr, text)

    def as_vector(self, expr: Expr) -> str:
        """The value as a vector, equal in all lanes if it is a scalar."""
        text = self.text(expr)
        if self.is_vector(expr) or not self.vector:
            return text
        if expr.dtype == "bool":
            return f"splat<int32_t>(-({text}))"
        return f"splat<{SCALAR[expr.dtype]}>({text})"

    def scalar(self) -> Emitter:
        """An emitter of what holds for a vector's first lane."""
        known = {expr: text for expr, text in self.known.items() if not self.is_vector(expr)}
        made = Emitter(self.names, known, vector=False, prefix="a")
        made.true, made._numbers = self.true, self._numbers
        return made

    def inner(self, prefix: str) -> Emitter:
        """An emitter of statements inside a block that begins here."""
        made = Emitter(self.names, self.known, vector=self.vector, prefix=prefix)
        made.arrays, made.true = self.arrays, set(self.true)
        return made

    def coordinate(self, term: Term) -> str:
        """Text for a load's coordinate."""
        if term.at is None:
            return self.names.indices[term.axis]
        text = self.text(term.at)
        return text if "?" in text else _bare(text)

    def is_inside(self, term: Term) -> bool:
        """Whether it is known that a computed coordinate lies within its axis."""
        found = 0
        for fact in self.true:
            match fact:
                case Apply(op="ge", operands=(at, Const(value=0))) if at is term.at:
                    found += 1
                case Apply(op="lt", operands=(at, Size(axes=axes))) if at is term.at and axes == term.axis.resolve():
                    found += 1
        return found > 1

    def statement(self, kind: str, text: str) -> str:
        """Gives a value a name."""
        name = f"{self.prefix}{next(self._numbers)}"
        self.lines.append(f"const {kind} {name} = {_bare(text)};")
        return name

    def _named(self, expr: Expr, text: str) -> str:
        if isinstance(expr, Window):
            name = text  # its loops have left it there
        else:
            name = f"{self.prefix}{next(self._numbers)}"
            name = f"{self.names.pointer(expr.buffer)}_{name}" if isinstance(expr, Load) else name
            self.lines.append(f"const {self.kind(expr)} {name} = {_bare(text)};")
        self.known[expr] = name
        return name

    def _fresh_text(self, expr: Expr) -> str:
        match expr:
            case Const():
                return literal(expr)
            case Size():
                return "(" + " * ".join(self.names.sizes(axis) for axis in expr.axes) + ")"
            case Iota():
                return self._iota(expr)
            case Load():
                return self._load(expr)
            case Window():
                return windows.render(self, expr)
            case Scan():
                return self.running[expr].format(self.value(expr.operand))
            case Apply() if self.is_vector(expr):
                return self._vector_apply(expr)
            case Apply():
                return self._scalar_apply(expr)
            case Reduce() if expr in self.arrays:
                text = f"load({self.arrays[expr]} + j, span)"
                stored_otherwise = expr.op.startswith("arg") or (expr.op == "sum" and expr.dtype == "float32")
                return f"convert<{SCALAR[expr.dtype]}>({text})" if stored_otherwise else text
        raise AssertionError(f"{expr} has no value here yet")

    def _iota(self, expr: Iota) -> str:
        if expr.axis is self.names.vector:
            if self.vector:
                return "positions<int64_t>(j)"
            return "j"
        return self.names.indices[expr.axis]

    def _load(self, expr: Load) -> str:
        if self.is_vector(expr):
            text = loads.vector_load(self, expr)
            return f"(({text}) != 0)" if expr.dtype == "bool" else text
        converted = f"{SCALAR[expr.dtype]}({{}})" if _converts(expr) else "{}"
        return loads.scalar_load(self, expr, "({} != 0)" if expr.dtype == "bool" else converted)

    def _vector_apply(self, expr: Apply) -> str:
        op, operands = self._form(expr)
        kind = operands[-1].dtype
        if op == "cast":
            return self._vector_cast(operands[0], expr.dtype)
        if op in _COMPARE:
            return self._vector_compare(_COMPARE[op], operands, kind)
        if op == "isnan":
            text = self.text(operands[0])
            return f"({text} != {text})" if kind == "float32" else f"mask({text} != {text})"
        if op in _INFIX and kind == "int64":
            return positions.arithmetic(_INFIX[op], operands, [self._operand(arg) for arg in operands])
        if op in _INFIX:
            left, right = (self.as_vector(arg) if kind == "bool" else self._operand(arg) for arg in operands)
            return f"({left} {_INFIX[op]} {right})"
        vectors = [self.as_vector(arg) for arg in operands]
        if op in ("max", "min") and isinstance(operands[1], Const) and operands[1].value == operands[1].value:
            return f"{'at_least' if op == 'max' else 'at_most'}({_bare(vectors[0])}, {_bare(vectors[1])})"
        if op == "where":
            return f"pick({', '.join(vectors)})"
        if op == "not":
            return f"(~{vectors[0]})"
        if op == "neg":
            return f"(-{vectors[0]})"
        return self._vector_call(op, kind, vectors)

    def _form(self, expr: Apply) -> tuple[str, tuple[Expr, ...]]:
        """The function of vectors that it is written as, and its operands: 1 + erf(x) is one, but where erf(x) is
        wanted by itself."""
        match expr.op, expr.operands:
            case "add", (Apply(dtype="float32", op="erf") as erf, Const(value=1)) if self._uses[erf] <= 1:
                return "erf_and_1", erf.operands
        return expr.op, expr.operands

    def _vector_compare(self, sign: str, operands: Sequence[Expr], kind: str) -> str:
        if kind == "int64" and (apart := positions.distance(self, *operands)):
            return f"({apart} {sign} 0)"
        text = f"({self._operand(operands[0])} {sign} {self._operand(operands[1])})"
        return text if kind in ("float32", "int32") else f"mask{text}"

    def _vector_call(self, op: str, kind: str, vectors: Sequence[str]) -> str:
        arguments = ", ".join(_bare(text) for text in vectors)
        special = {"max": "larger", "min": "smaller", "abs": "magnitude", "sqrt": "root"}
        if op in special:
            return f"{special[op]}({arguments})"
        if op == "rsqrt":
            return f"(1 / root({arguments}))"
        if kind == "float32" and op in _POLYNOMIAL | _ROUNDING:
            self.names.snippets.add("rounding" if op in _ROUNDING else op.removesuffix("_nonpos"))
            return f"{op}({arguments})"
        scalar = scalar_call(op, ["x", "y"][: len(vectors)], kind)
        parameters = ", ".join(f"{SCALAR[kind]} {name}" for name in ["x", "y"][: len(vectors)])
        return f"lanewise({arguments}, []({parameters}) {{ return {scalar}; }})"

    def _vector_cast(self, operand: Expr, dtype: str) -> str:
        text = self.text(operand)
        if dtype == "bool":
            return f"({text} != 0)" if operand.dtype in ("float32", "int32") else f"mask({text} != 0)"
        if operand.dtype == "bool":
            return f"(-{text})" if dtype == "int32" else f"convert<{SCALAR[dtype]}>(-{text})"
        return f"convert<{SCALAR[dtype]}>({_bare(text)})"

    def _operand(self, expr: Expr) -> str:
        """An operand of an infix operator, for which a scalar of the same type will do."""
        text = self.text(expr)
        return f"{SCALAR[expr.dtype]}({text})" if isinstance(expr, Size) else text

    def _scalar_apply(self, expr: Apply) -> str:
        op, operands, kind = expr.op, expr.operands, expr.operands[-1].dtype
        texts = [self.text(arg) for arg in operands]
        if op == "cast":
            return f"{SCALAR[expr.dtype]}({_bare(texts[0])})" if expr.dtype != "bool" else f"({texts[0]} != 0)"
        if op in _INFIX and kind == "int64":
            return positions.arithmetic(_INFIX[op], operands, texts)
        if op in _COMPARE or op in _INFIX:
            return f"({texts[0]} {(_COMPARE | _INFIX)[op]} {texts[1]})"
        return scalar_call(op, texts, kind)


def scalar_call(op: str, texts: Sequence[str], kind: str) -> str:
    """A scalar function of texts whose type is `kind`."""
    x, y = texts[0], texts[-1]
    one = "1.0f" if kind == "float32" else "1.0"
    written = {
        "neg": f"(-{x})",
        "not": f"(!{x})",
        "isnan": f"({x} != {x})",
        "where": f"({x} ? {texts[min(1, len(texts) - 1)]} : {y})",
        "max": f"larger<{SCALAR[kind]}>({_bare(x)}, {_bare(y)})",
        "min": f"smaller<{SCALAR[kind]}>({_bare(x)}, {_bare(y)})",
        "rsqrt": f"({one} / std::sqrt({_bare(x)}))",
        "exp_nonpos": f"std::exp({_bare(x)})",
        "sigmoid": f"({one} / ({one} + std::exp(-{x})))",
        "round": f"std::nearbyint({_bare(x)})",
        "remainder": f"({x} - std::floor({x} / {y}) * {y})",
    }
    return written.get(op) or f"std::{op}({', '.join(_bare(text) for text in texts)})"


def literal(expr: Const) -> str:
    """A C++ literal of the constant's type."""
    value = expr.value
    if expr.dtype == "bool":
        return "true" if value else "false"
    kind = SCALAR[expr.dtype]
    if isinstance(value, float):
        if math.isnan(value):
            return f"std::numeric_limits<{kind}>::quiet_NaN()"
        if math.isinf(value):
            return f"{'-' if value < 0 else ''}std::numeric_limits<{kind}>::infinity()"
        text = f"{value:.9g}" if expr.dtype == "float32" else repr(value)
        text = text if any(mark in text for mark in ".e") else f"{text}.0"
        text += "f" if expr.dtype == "float32" else ""
    else:
        text = str(value) if expr.dtype == "int32" else f"int64_t({value})"
    return f"({text})" if text.startswith("-") else text


def _converts(expr: Load) -> bool:
    return expr.buffer.dtype != expr.dtype


def _bare(text: str) -> str:
    """Without the outermost parentheses, where one pair encloses everything."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for index, mark in enumerate(text):
        depth += {"(": 1, ")": -1}.get(mark, 0)
        if depth == 0 and index < len(text) - 1:
            return text
    return text[1:-1]


def _uses(roots: Sequence[Expr], known: set[Expr]) -> Counter[Expr]:
    """How often each value is used when `roots` are evaluated once."""
    uses = Counter(roots)
    seen: set[Expr] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node in seen or node in known or isinstance(node, (Reduce, Window)):
            continue
        seen.add(node)
        uses.update(node.args)
        stack.extend(node.args)
    return uses


def memory_type(buffer: Buffer) -> str:
    """The C++ type of a buffer's elements."""
    return MEMORY[buffer.dtype]
