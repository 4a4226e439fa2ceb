"""Makes a KernelBench file smaller: halves integers that the module assigns and `get_inputs` uses, batch first, then
those that only `get_init_inputs` uses.

The text is rewritten where a constant stands, so that whatever else uses the name (a layer's width, a bias' shape)
shrinks with it.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

STEPS, GAIN = 12, 0.8
"""Halvings tried at most by each measure, and how much smaller one must make the task: halving the batch of a task that
is all weights does not help."""


@dataclass(frozen=True)
class Constant:
    """An integer in the source, with the name that it is assigned to; `inner` if no input's shape follows from it."""

    name: str
    value: int
    line: int
    column: int
    end: int
    inner: bool = False

    @property
    def is_batch(self) -> bool:
        """Whether it counts independent parts of the input."""
        return "batch" in self.name.lower()


def constants(text: str) -> list[Constant]:
    """The integers above 1 at module level that the shapes of inputs, or of the model's state, follow from."""
    tree = ast.parse(text)
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    outer = _used(tree, assigned, "get_inputs")
    everything = outer | _used(tree, assigned, "get_init_inputs")
    found = [constant for node in assigned for constant in _integers(node.targets[0], node.value) if constant.value > 1]
    named = [(constant.name.partition("[")[0], constant) for constant in found]
    return [replace(constant, inner=name not in outer) for name, constant in named if name in everything]


def _used(tree: ast.Module, assigned: Sequence[ast.Assign], function: str) -> set[str]:
    """The names that a function uses, and those that these are computed from."""
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    used = set[str]().union(*map(_names, found))
    for node in reversed(assigned):
        if used & {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}:
            used |= _names(node.value)
    return used


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _integers(target: ast.expr, value: ast.expr) -> Iterator[Constant]:
    number = _whole(value)
    match target, value:
        case ast.Name(id=name), _ if number is not None and value.end_lineno == value.lineno:
            yield Constant(name, number, value.lineno, value.col_offset, value.end_col_offset or 0)
        case ast.Name(id=name), ast.Tuple(elts=parts) | ast.List(elts=parts):
            for index, part in enumerate(parts):
                yield from _integers(ast.Name(id=f"{name}[{index}]"), part)
        case ast.Tuple(elts=targets), ast.Tuple(elts=parts):
            for one, part in zip(targets, parts, strict=False):
                yield from _integers(one, part)


def _whole(value: ast.expr) -> int | None:
    """An integer, or one that is written as a product of some, as `2048 * 2`."""
    match value:
        case ast.Constant(value=int(number)) if not isinstance(number, bool):
            return number
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            one, other = _whole(left), _whole(right)
            return None if one is None or other is None else one * other
    return None


def halved(text: str, constant: Constant, times: int = 1) -> str:
    """The text with one constant divided by 2 to a power, but never below 1."""
    lines = text.splitlines(keepends=True)
    line = lines[constant.line - 1].encode()  # columns count bytes
    smaller = str(max(constant.value >> times, 1)).encode()
    lines[constant.line - 1] = (line[: constant.column] + smaller + line[constant.end :]).decode()
    return "".join(lines)


def shrunk(text: str, *excesses: Callable[[str], float | None]) -> tuple[str, str]:
    """The text made small enough by one measure after the other, and what was changed, as `name old→new`.

    Args:
        text: the file's.
        excesses: how many times too large a text's task is (at most 1: small enough); None where it does not load.
    """
    before = {constant.name: constant.value for constant in constants(text)}
    for excess in excesses:
        text = _small_enough(text, excess)
    after = {constant.name: constant.value for constant in constants(text)}
    changes = [f"{name} {old}→{after.get(name, 1)}" for name, old in before.items() if after.get(name, 1) != old]
    return text, ", ".join(changes)


def _small_enough(text: str, excess: Callable[[str], float | None]) -> str:
    too_large = excess(text)
    for _ in range(STEPS):
        if too_large is None or too_large <= 1:
            break
        for candidate in _smaller(text, too_large):
            smaller = excess(candidate)
            if smaller is not None and smaller < GAIN * too_large:
                text, too_large = candidate, smaller
                break
        else:
            break
    return text


def _smaller(text: str, too_large: float) -> Iterator[str]:
    """Texts to try next: the batch as small as it takes, else the largest other constant halved, and so on; then all
    constants of one value, which may have to stay equal; last, what no input's shape follows from."""
    everything = sorted(constants(text), key=lambda constant: (not constant.is_batch, -constant.value))
    found = [constant for constant in everything if not constant.inner]
    yield from _one_by_one(text, too_large, found)
    counts = Counter(constant.value for constant in found)
    for value in (value for value, count in counts.items() if count > 1):
        together = text
        for constant in sorted(found, key=lambda one: (-one.line, -one.column)):  # from the end: columns stay right
            together = halved(together, constant) if constant.value == value else together
        yield together
    yield from _one_by_one(text, too_large, [constant for constant in everything if constant.inner])


def _one_by_one(text: str, too_large: float, found: Sequence[Constant]) -> Iterator[str]:
    for constant in found:
        times = 1
        while constant.is_batch and 1 << times < too_large and constant.value >> times > 1:
            times += 1
        yield halved(text, constant, times)
