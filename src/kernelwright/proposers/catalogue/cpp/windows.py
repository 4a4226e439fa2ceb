"""Windows as C++: short loops inside one element's value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kernelwright.proposers.catalogue.affine import conjuncts
from kernelwright.proposers.catalogue.ir import IDENTITY, Apply, Axis, Const, Expr, Iota, Load, Size, Window

if TYPE_CHECKING:
    from kernelwright.proposers.catalogue.cpp.expressions import Emitter


def render(emitter: Emitter, expr: Window) -> str:
    """Emits the loops, which leave the result under the name that is returned."""
    names = emitter.names
    name = f"w{names.windows}"
    names.windows += 1
    emitter.hoist(_apart_from(expr.operand, frozenset(expr.axes)))
    is_vector = emitter.is_vector(expr)
    start = emitter.as_vector(_identity(expr)) if is_vector else emitter.text(_identity(expr))
    body = emitter.inner(f"{name}_")
    value, conditions = _conditions(emitter, expr)
    lines = [f"{emitter.kind(expr)} {name} = {start};"]
    for rank, axis in enumerate(expr.axes):
        index = names.indices[axis] = f"k{names.loops}"
        names.loops += 1
        lines.append("  " * rank + f"for (int64_t {index} = 0; {index} < {axis.size}; ++{index}) {{")
        later = frozenset(expr.axes[rank + 1 :])
        ready = [test for test in conditions if not test.free & later and not body.is_vector(test)]
        conditions = [test for test in conditions if test not in ready]
        if ready:
            body.lines.append(f"if (!({' && '.join(body.emit(ready))})) continue;")
            body.true |= set(ready)
        lines += ["  " * (rank + 1) + line for line in body.flush()]
    for test in conditions:
        value = Apply(expr.dtype, "where", (test, value, _identity(expr)))
    body.count([value])
    joined = _joined(expr, body.value(value), name, "" if is_vector else f"<{emitter.kind(expr)}>")
    depth = len(expr.axes)
    lines += ["  " * depth + line for line in [*body.flush(), f"{name} = {joined};"]]
    emitter.lines += [*lines, *("  " * level + "}" for level in reversed(range(depth)))]
    return name


def _conditions(emitter: Emitter, expr: Window) -> tuple[Expr, list[Expr]]:
    """A window's value, and the conditions under which it counts."""
    value, conditions = expr.operand, []
    while isinstance(value, Apply) and value.op == "where" and _is_identity(value.operands[2], expr):
        conditions += conjuncts(value.operands[0])
        value = value.operands[1]
    for load in _needed(value, expr):
        for term in load.terms:
            if term.at is not None and not emitter.is_vector(term.at):
                size = Size("int64", term.axis.resolve())
                conditions.append(Apply("bool", "ge", (term.at, Const("int64", 0))))
                conditions.append(Apply("bool", "lt", (term.at, size)))
    return value, conditions


def _needed(value: Expr, expr: Window) -> list[Load]:
    """Loads that leave a window's result as it is where they are outside of their tensor: the value itself, or a factor
    of what is summed."""
    factors = value.operands if isinstance(value, Apply) and (value.op, expr.op) == ("mul", "sum") else (value,)
    return [
        each for each in factors if isinstance(each, Load) and each.otherwise and _is_identity(each.otherwise, expr)
    ]


def _identity(expr: Window) -> Const:
    """What the window's result is before any value; the least and greatest integers stand for the infinities."""
    value = IDENTITY[expr.op]
    if expr.dtype.startswith("int") and math.isinf(value):
        return Const(expr.dtype, int(math.copysign(2 ** (int(expr.dtype[3:]) - 1) - 1, value)))
    return Const(expr.dtype, float(value) if expr.dtype.startswith("float") else int(value))


def _is_identity(value: Expr, expr: Window) -> bool:
    return isinstance(value, Const) and value.value == _identity(expr).value


def _joined(expr: Window, value: str, so_far: str, kind: str) -> str:
    """One more value taken into a window's result."""
    if expr.op in ("sum", "prod"):
        return f"{so_far} {'+' if expr.op == 'sum' else '*'} {value}"
    return f"{'larger' if expr.op == 'max' else 'smaller'}{kind}({value}, {so_far})"


def _apart_from(root: Expr, axes: frozenset[Axis]) -> list[Expr]:
    """The largest subexpressions that do not follow these axes."""
    found: dict[Expr, None] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        if node.free & axes:
            stack.extend(reversed(node.args))
        elif not isinstance(node, (Const, Size, Iota)):
            found[node] = None
    return list(found)
