"""Expressions as Triton: blocks of values, each with the shape of the positions that it depends on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from kernelwright.proposers.catalogue.ir import (
    IDENTITY,
    ROUNDING,
    Apply,
    Axis,
    Buffer,
    Combined,
    Const,
    Expr,
    Iota,
    Load,
    Reduce,
    Scan,
    Size,
    Window,
    walk,
)
from kernelwright.proposers.catalogue.loops import Nest, window_axes
from kernelwright.proposers.catalogue.triton.space import Space, pointer
from kernelwright.proposers.catalogue.triton.support import KNOWN

_INFIX = {"add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|", "xor": "^", "mod": "%"}
_COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_OWN = {
    "exp": "tl.exp", "log": "tl.log", "log2": "tl.log2", "sqrt": "tl.sqrt_rn", "rsqrt": "tl.rsqrt", "sin": "tl.sin",
    "cos": "tl.cos", "erf": "tl.erf", "floor": "tl.floor", "ceil": "tl.ceil", "abs": "tl.abs",
}  # fmt: skip
_DOUBLE = _OWN | {"exp_nonpos": "tl.exp", "sigmoid": "tl.sigmoid", "sqrt": "tl.sqrt"}
_SHORT = ("float16", "bfloat16")
_ROUGH = frozenset({"erf", "sigmoid", "tanh"})
"""Functions that are computed in fewer bits where no more show."""
NARROW = {"float16": "float32", "bfloat16": "float32", "int8": "int32", "int16": "int32", "uint8": "int32"}
_LONGEST = 90


@dataclass(frozen=True)
class Scope:
    """What all emitters of a kernel share: the names and the support code in use, whether no more than 16 bits of
    functions show, the tensors that it goes through once and that no cache keeps for whoever comes next, and what is
    rounded to whole numbers no larger than a size, from positions alone, to read there."""

    names: set[str]
    snippets: set[str]
    short: bool
    passing: frozenset[Buffer] = frozenset()
    places: frozenset[Expr] = frozenset()

    @classmethod
    def of(cls, nest: Nest, names: Iterable[str], passing: Iterable[Buffer] = ()) -> Scope:
        """The scope of a nest's kernel, in which these names are in use."""
        short = all(store.buffer.dtype in _SHORT for store in nest.stores) and not _decides(nest)
        least = (node.operands for node in nest.places if isinstance(node, Apply) and node.op == "min")
        rounded = (one for one, other in least if _is_rounded(one) and any(isinstance(n, Size) for n in walk([other])))
        return cls(set(names), set(), short, frozenset(passing), frozenset(rounded))

    def function(self, op: str, dtype: str) -> str:
        """What computes a function of numbers of a dtype: Triton's own, or support code, which is then in use."""
        own = _DOUBLE if dtype == "float64" else _OWN
        if op not in own:
            self.snippets.add(op)
        return own.get(op, op)

    def policy(self, buffer: Buffer) -> str:
        """The argument of a load or a store that leaves caches to others."""
        return ', eviction_policy="evict_first"' if buffer in self.passing else ""


class Emitter:
    """Turns expressions into statements, each value once.

    Args:
        space: the positions that surround them.
        known: expressions that have a name already.
        scope: what the whole kernel shares.
        depth: how far statements are indented.
    """

    def __init__(self, space: Space, known: Mapping[Expr, str], scope: Scope, depth: int = 1) -> None:
        self.space, self.scope, self.depth = space, scope, depth
        self.known: dict[Expr, str] = dict(known)
        self.lines: list[str] = []
        self._uses: Counter[Expr] = Counter()

    def put(self, *lines: str) -> None:
        """Adds statements."""
        self.lines += ["    " * self.depth + line for line in lines]

    def inner(self, space: Space | None = None) -> Emitter:
        """An emitter of the statements of a block that begins here, with positions of its own where they are given."""
        return Emitter(space or self.space, self.known, self.scope, self.depth + 1)

    def count(self, roots: Iterable[Expr]) -> None:
        """Announces what will be asked for, so that values used more than once get a name."""
        self._uses.update(_uses(roots, self.known))

    def value(self, expr: Expr) -> str:
        """The value without parentheses around it."""
        return bare(self.text(expr))

    def text(self, expr: Expr) -> str:
        """The value as an atom, a call, or in parentheses."""
        if expr in self.known:
            return self.known[expr]
        text = self._fresh(expr)
        if isinstance(expr, (Load, Window)):
            return text
        named = self._uses[expr] > 1 and not isinstance(expr, Iota) and not is_host(expr)
        if named or (len(text) > _LONGEST and isinstance(expr, Apply)):
            return self.named(expr, text)
        return text

    def named(self, expr: Expr, text: str, name: str = "v") -> str:
        """Gives a value a name."""
        made = self.fresh_name(name)
        self.put(f"{made} = {bare(text)}")
        self.known[expr] = made
        return made

    def fresh_name(self, name: str) -> str:
        """A name that is not in use: `x`, `x_1`, …; single letters are always numbered."""
        tries = (f"{name}{number}" if len(name) == 1 else f"{name}_{number}" for number in count())
        names = self.scope.names
        found = name if len(name) > 1 and name not in names else next(each for each in tries if each not in names)
        names.add(found)
        return found

    def hoist(self, roots: Iterable[Expr], inside: frozenset[Axis]) -> None:
        """Computes here what does not change along `inside`."""
        found: dict[Expr, None] = {}
        stack = list(roots)
        inside |= window_axes(walk(stack)) - self.space.indices.keys()
        seen: set[Expr] = set()
        while stack:
            node = stack.pop()
            if node in seen or node in self.known or isinstance(node, Reduce):
                continue
            seen.add(node)
            if node.free & inside:
                stack.extend(node.args)
            elif not isinstance(node, (Const, Iota)) and not is_host(node):
                found[node] = None
        self.count(found)
        for node in reversed(found):
            if node not in self.known:
                text = self.text(node)
                if node not in self.known:
                    self.named(node, text)

    def _fresh(self, expr: Expr) -> str:
        match expr:
            case Const():
                return literal(expr)
            case Size():
                text = self.space.size(expr.axes)
                return f"({text})" if " " in text else text
            case Iota():
                return self.space.indices[expr.axis]
            case Load():
                return self._load(expr)
            case Window():
                return self._window(expr)
            case Apply(op="cast"):
                narrow = expr in self.scope.places and not self.space.wide
                return self._cast(expr.operands[0], "int32" if narrow else expr.dtype)
            case Apply():
                return self._apply(expr.op, expr.operands)
        raise AssertionError(f"{type(expr).__name__} has no value here yet")

    def _load(self, load: Load) -> str:
        text = self.read(load)
        if load.buffer.dtype in NARROW:
            text += f".to(tl.{NARROW[load.buffer.dtype]})"
        return self.named(load, text, load.buffer.name)

    def read(self, load: Load) -> str:
        """A load, its values as they are in memory."""
        coordinates, conditions = [], []
        for term in load.terms:
            at = self.space.indices[term.axis] if term.at is None else self.text(term.at)
            coordinates.append((term.axis, at))
            if load.otherwise is not None and term.at is not None:
                conditions.append(f"({at} >= 0) & ({at} < {self.space.sizes[term.axis]})")
        mask = " & ".join(filter(None, [self.space.mask(load.free), *conditions]))
        offset = self.space.offset(coordinates)
        arguments = [f"{pointer(load.buffer)} + {offset}" if offset else pointer(load.buffer)]
        arguments += [f"mask={mask}"] if mask else []
        arguments += [f"other={literal(load.otherwise)}"] if load.otherwise is not None and mask else []
        policy = self.scope.policy(load.buffer) if load.direct else ""
        return f"tl.load({', '.join(arguments)}{policy})"

    def _window(self, window: Window) -> str:
        """A loop over a few positions, unrolled."""
        inside = frozenset(window.axes)
        self.hoist([window.operand], inside)
        result = self.fresh_name("window")
        self.put(f"{result} = {number(IDENTITY[window.op])}")
        body = self
        for axis in window.axes:
            index = body.fresh_name("k")
            self.space.indices[axis] = index
            body.put(f"for {index} in tl.static_range({self.space.sizes[axis]}):")
            outer, body = body, body.inner()
            body.lines = outer.lines
        body.count([window.operand])
        body.put(f"{result} = {self.combined(window.op, result, body.value(window.operand), window.dtype)}")
        for axis in window.axes:
            del self.space.indices[axis]
        self.known[window] = result
        return result

    def combined(self, op: str, left: str, right: str, dtype: str) -> str:
        """Two values combined."""
        if op == "sum":
            return f"{left} + {right}"
        return f"{left} * {right}" if op == "prod" else self._extreme(op, left, right, dtype)

    def _extreme(self, op: str, left: str, right: str, dtype: str) -> str:
        if dtype.startswith("float"):  # a maximum with NaN is NaN
            name = {"max": "larger", "min": "smaller"}[op]
            self.scope.snippets.add(name)
            return f"{name}({left}, {right})"
        return f"tl.{op}imum({left}, {right})"

    def _cast(self, operand: Expr, dtype: str) -> str:
        text = self.text(operand)
        if is_host(operand):
            return text
        return f"({text} != 0)" if dtype == "bool" else f"{text}.to(tl.{dtype})"

    def _apply(self, op: str, operands: Sequence[Expr]) -> str:
        kind = operands[-1].dtype
        match op, operands:
            case "add", (Apply(op="erf", operands=(inner,)), Const(value=1)) if self.scope.short:
                op, operands = "erf_and_1", (inner,)
            case "log1p", (Apply(op="exp_nonpos"),) if kind != "float64":
                op = "log1p_to_1"
            case "sigmoid" | "tanh", _ if self.scope.short and kind != "float64":
                op = f"{op}_16"
        if op in _OWN or op in KNOWN:
            values = [self._block(operand) for operand in operands]
            return f"{self.scope.function(op, kind)}({', '.join(map(bare, values))})"
        texts = [self.text(operand) for operand in operands]
        if op == "div":
            return f"({texts[0]} {'/' if kind.startswith('float') else '//'} {texts[1]})"
        if op in _INFIX or op in _COMPARE:
            return f"({texts[0]} {(_INFIX | _COMPARE)[op]} {texts[1]})"
        if op in ("max", "min"):
            if all(map(is_host, operands)):
                return f"{op}({texts[0]}, {texts[1]})"
            return self._extreme(op, bare(texts[0]), bare(texts[1]), kind)
        if op == "where":
            return f"tl.where({', '.join(map(bare, texts))})"
        written = {"neg": f"(-{texts[0]})", "not": f"(~{texts[0]})", "isnan": f"({texts[0]} != {texts[0]})"}
        return written[op]

    def _block(self, expr: Expr) -> str:
        """The value as a tensor of Triton's, also where it is a number."""
        text = self.text(expr)
        return f"tl.full((), {bare(text)}, tl.{expr.dtype})" if is_host(expr) else text


def is_host(expr: Expr) -> bool:
    """Whether a value is a number that is known when the kernel is compiled."""
    return not any(isinstance(node, (Load, Iota, Reduce, Scan, Window)) for node in walk([expr]))


def _decides(nest: Nest) -> bool:
    """Whether something is decided by a function's value: a comparison, a rounding, a place."""
    deciding = (
        node
        for node in walk(store.expr for store in nest.stores)
        if (isinstance(node, Apply) and (node.op in _COMPARE or node.op in ROUNDING or node.dtype.startswith("int")))
        or (isinstance(node, Combined) and node.op.startswith("arg"))
    )
    return any(isinstance(part, Apply) and part.op in _ROUGH for part in walk(deciding))


def _is_rounded(node: Expr) -> bool:
    """Whether it is a whole number that follows from positions alone, by way of one with a fraction."""
    whole = isinstance(node, Apply) and node.op == "cast" and node.dtype == "int64"
    return whole and node.args[0].dtype == "float32" and not any(isinstance(part, Load) for part in walk([node]))


def bare(text: str) -> str:
    """Text without the parentheses around all of it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0 and place < len(text) - 1:
            return text
    return text[1:-1]


def number(value: float | bool) -> str:
    """A number as Python."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)


def literal(expr: Const) -> str:
    """A constant as Python."""
    text = number(expr.value)
    return f"({text})" if text.startswith("-") else text


def _uses(roots: Iterable[Expr], known: Mapping[Expr, str]) -> Counter[Expr]:
    """How often each expression is used by others, or asked for."""
    uses: Counter[Expr] = Counter()
    stack = list(roots)
    while stack:
        node = stack.pop()
        uses[node] += 1
        if uses[node] == 1 and node not in known and not isinstance(node, Reduce):
            stack.extend(node.args)
    return uses
