"""The parameters that a candidate declares: read from its text and rewritten in it. None of it is executed.

A candidate declares them at module level, as literals:

    PARAMS = {"UNROLL": 4, "STREAM": 1}                  # the values in force; `rewrite` replaces this one literal
    SPACE = {"UNROLL": [1, 2, 4, 8], "STREAM": [0, 1]}   # the values each may take
    CONSTRAINTS = ["UNROLL * 8 <= 64"]                   # optional: what must hold between them

Values are whole numbers, finite floats, strings or booleans. A constraint is arithmetic (`+ - * // / %`), comparisons,
`and`, `or`, `not` over names and numbers; a string may only be compared.
"""

from __future__ import annotations

import ast
import itertools
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kernelwright import syntax
from kernelwright.errors import UsageError

Value = int | float | str | bool
_LARGEST = 2**63
_LONGEST_CONSTRAINT = 300  # characters; bounds how deep an expression can nest, too
_WHERE = "<candidate>"
_NEWLINE = re.compile(rb"\r\n|\r|\n")

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv, ast.Mod: operator.mod,
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos, ast.USub: operator.neg, ast.Not: operator.not_,
}  # fmt: skip


class ParametersError(UsageError):
    """A candidate's PARAMS, SPACE or CONSTRAINTS cannot be used; `where` names the line."""


@dataclass(frozen=True)
class Parameters:
    """What a candidate declares. `values` may hold names that have no entry in `space`: these stay as they are."""

    values: Mapping[str, Value]
    space: Mapping[str, tuple[Value, ...]]
    constraints: tuple[str, ...] = ()
    _conditions: tuple[ast.expr, ...] = field(default=(), repr=False, compare=False)

    @property
    def size(self) -> int:
        """The number of points in the space, constraints not counted."""
        return math.prod(len(values) for values in self.space.values())

    def allows(self, point: Mapping[str, Value]) -> bool:
        """Whether the values of `point` (by name; the rest as in `values`) satisfy every constraint.

        A constraint that cannot be computed there (division by zero, a number beyond 2**63) does not hold.
        """
        values = {**self.values, **point}
        return all(_holds(condition, values) for condition in self._conditions)

    def points(self) -> Iterator[dict[str, Value]]:
        """Every allowed point of the space, in the order in which the values are declared."""
        for combination in itertools.product(*self.space.values()):
            point = dict(zip(self.space, combination, strict=True))
            if self.allows(point):
                yield point

    def indices(self, point: Mapping[str, Value]) -> tuple[int, ...] | None:
        """Where each of the point's values stands in its list, in the order of `space`; None where one is not in it."""
        found = tuple(_index(values, point.get(name)) for name, values in self.space.items())
        return None if None in found else tuple(index for index in found if index is not None)

    def nearest(self, name: str, value: object, otherwise: Value) -> Value:
        """`value` where the space has it under this name, else `otherwise`."""
        at = _index(self.space[name], value)
        return otherwise if at is None else self.space[name][at]


def read(source: str) -> Parameters | None:
    """What a candidate declares; None where it declares no PARAMS with a SPACE, or is not Python.

    Raises:
        ParametersError: it declares them wrongly.
    """
    assigned = _assignments(source)
    if "PARAMS" not in assigned or "SPACE" not in assigned:
        return None
    values = _values(assigned["PARAMS"])
    space = _space(assigned["SPACE"], values)
    texts, conditions = _constraints(assigned["CONSTRAINTS"], values) if "CONSTRAINTS" in assigned else ((), ())
    return Parameters(values, space, texts, conditions)


def values(source: str) -> dict[str, Value] | None:
    """The values of the parameters that a candidate declares, if it declares any, and declares them rightly."""
    try:
        declared = read(source)
    except ParametersError:
        return None
    return dict(declared.values) if declared else None


def rewrite(source: str, values: Mapping[str, Value]) -> str:
    """The source with its PARAMS literal replaced by one that holds `values`; every other character stays.

    Raises:
        ParametersError: it has no PARAMS, or `values` has other names than PARAMS or a value that none may have.
    """
    assigned = _assignments(source)
    if "PARAMS" not in assigned:
        raise ParametersError("the candidate declares no PARAMS", where=_WHERE)
    declared = _values(assigned["PARAMS"])
    if set(values) != set(declared):
        raise ParametersError(f"PARAMS has {sorted(declared)}, the new values have {sorted(values)}", where=_WHERE)
    node = assigned["PARAMS"]
    items = ", ".join(f'"{name}": {_check_value(node, name, values[name])!r}' for name in declared)
    return _splice(source, node, "{" + items + "}")


def family(source: str) -> str:
    """The source with an empty PARAMS: the same for all candidates that differ only in their values.

    Raises:
        ParametersError: it has no PARAMS.
    """
    assigned = _assignments(source)
    if "PARAMS" not in assigned:
        raise ParametersError("the candidate declares no PARAMS", where=_WHERE)
    return _splice(source, assigned["PARAMS"], "{}")


def kin(language: str, source: str, declared: Parameters) -> str:
    """The same for candidates that differ only in values that may be chosen: those with a space.

    Raises:
        ParametersError: the source has no PARAMS.
    """
    fixed = sorted((name, repr(value)) for name, value in declared.values.items() if name not in declared.space)
    return f"{language}\n{fixed}\n{family(source)}"


def _assignments(source: str) -> dict[str, ast.expr]:
    """The expressions assigned to the three names at module level."""
    try:
        body = syntax.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # not Python, a null byte, nested too deeply
        return {}
    found: dict[str, ast.expr] = {}
    for statement in body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign)) else None
        for target in targets:
            if isinstance(target, ast.Name) and target.id in ("PARAMS", "SPACE", "CONSTRAINTS") and value is not None:
                if target.id in found:
                    raise _error(value, f"{target.id} is assigned twice")
                found[target.id] = value
    return found


def _error(node: ast.expr, what: str) -> ParametersError:
    return ParametersError(what, where=f"{_WHERE}:{node.lineno}")


def _literal(node: ast.expr, name: str, kind: type | tuple[type, ...], described: str) -> Any:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        value = None
    if not isinstance(value, kind):
        raise _error(node, f"{name} must be a literal {described}")
    return value


def _check_value(node: ast.expr, name: str, value: object) -> Value:
    if isinstance(value, (str, bool)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int) and abs(value) <= _LARGEST:
        return value
    raise _error(node, f"{name}: {str(value)[:40]} is no whole number up to 2**63, finite float, string or boolean")


def _values(node: ast.expr) -> dict[str, Value]:
    literal = _literal(node, "PARAMS", dict, 'dict such as {"UNROLL": 4}')
    for name in literal:
        if not (isinstance(name, str) and name.isidentifier()):
            raise _error(node, f"PARAMS: {name!r} is not a name")
    return {name: _check_value(node, f"PARAMS[{name!r}]", value) for name, value in literal.items()}


def _space(node: ast.expr, values: Mapping[str, Value]) -> dict[str, tuple[Value, ...]]:
    space: dict[str, tuple[Value, ...]] = {}
    for name, choices in _literal(node, "SPACE", dict, 'dict such as {"UNROLL": [1, 2, 4]}').items():
        if name not in values:
            raise _error(node, f"SPACE has {name!r}, which PARAMS has not")
        if not isinstance(choices, (list, tuple)) or not choices:
            raise _error(node, f"SPACE[{name!r}] must be a list of values that is not empty")
        checked = tuple(_check_value(node, f"SPACE[{name!r}]", choice) for choice in choices)
        # Every choice is the first of its kind: an index names one value, and a value one index.
        if any(_index(checked, choice) != at for at, choice in enumerate(checked)):
            raise _error(node, f"SPACE[{name!r}] holds a value twice")
        if _index(checked, values[name]) is None:
            raise _error(node, f"PARAMS[{name!r}] is {values[name]!r}, which is not among SPACE[{name!r}]")
        space[name] = checked
    return space


def _constraints(node: ast.expr, values: Mapping[str, Value]) -> tuple[tuple[str, ...], tuple[ast.expr, ...]]:
    texts = _literal(node, "CONSTRAINTS", (list, tuple), 'list such as ["UNROLL * 8 <= 64"]')
    return tuple(texts), tuple(_condition(node, text, values) for text in texts)


def _condition(node: ast.expr, text: object, values: Mapping[str, Value]) -> ast.expr:
    if not isinstance(text, str) or len(text) > _LONGEST_CONSTRAINT:
        raise _error(node, f"a constraint must be a string of at most {_LONGEST_CONSTRAINT} characters")
    try:
        condition = syntax.parse(text.strip(), "eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _error(node, f"constraint {text!r} is not an expression") from error
    for part in ast.walk(condition):
        refusal = _refusal(part, values)
        if refusal:
            raise _error(node, f"constraint {text!r}: {refusal}")
    return condition


def _refusal(part: ast.AST, values: Mapping[str, Value]) -> str:
    """Why a part of a constraint is not allowed; empty where it is."""
    if isinstance(part, ast.Name):
        return "" if part.id in values else f"PARAMS has no {part.id!r}"
    if isinstance(part, ast.Constant):
        return "" if isinstance(part.value, (int, float, str)) else f"{part.value!r} is not a number"
    if isinstance(part, (ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.expr_context, ast.boolop)):
        return ""
    if type(part) in _BINARY or type(part) in _COMPARE or type(part) in _UNARY:
        return ""
    return f"{type(part).__name__} is not allowed; use + - * // / %, comparisons, and, or, not"


def _holds(condition: ast.expr, values: Mapping[str, Value]) -> bool:
    try:
        return bool(_evaluate(condition, values))
    except (ArithmeticError, TypeError):  # division by zero, too large a number, a string in arithmetic
        return False


def _evaluate(node: ast.expr, values: Mapping[str, Value]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.BoolOp):
        parts = (_evaluate(part, values) for part in node.values)
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    if isinstance(node, ast.UnaryOp):
        return _UNARY[type(node.op)](_evaluate(node.operand, values))
    if isinstance(node, ast.Compare):
        sides = [_evaluate(side, values) for side in (node.left, *node.comparators)]
        return all(_COMPARE[type(op)](a, b) for op, a, b in zip(node.ops, sides, sides[1:], strict=False))
    assert isinstance(node, ast.BinOp)
    return _arithmetic(type(node.op), _evaluate(node.left, values), _evaluate(node.right, values))


def _arithmetic(kind: type[ast.operator], left: Any, right: Any) -> Any:
    if isinstance(left, str) or isinstance(right, str):  # "ab" * 10**9, "%99999999d" % 1
        raise TypeError
    result = _BINARY[kind](left, right)
    if abs(result) > _LARGEST:
        raise OverflowError
    return result


def _index(values: tuple[Value, ...], value: object) -> int | None:
    """The index of a value of the same type: 1, 1.0 and True are three values, as they are in a candidate's text."""
    return next((i for i, each in enumerate(values) if type(each) is type(value) and each == value), None)


def _splice(source: str, node: ast.expr, text: str) -> str:
    """The source with the expression's characters replaced. `ast` counts columns in bytes of UTF-8."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    data = source.encode()
    starts = [0, *(match.end() for match in _NEWLINE.finditer(data))]
    begin = starts[node.lineno - 1] + node.col_offset
    end = starts[node.end_lineno - 1] + node.end_col_offset
    return (data[:begin] + text.encode() + data[end:]).decode()
