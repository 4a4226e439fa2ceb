"""From a sketch to its text: what reads one must understand what is written here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelwright.proposers.llm.sketch import nodes
from kernelwright.proposers.llm.sketch.spell import expression


def write(sketch: nodes.Sketch) -> str:
    """The text of a sketch, ending with a newline."""
    return "\n".join((f"sketch {sketch.name}", *_block(sketch.statements, ""))) + "\n"


def _block(statements: Iterable[nodes.Statement], indent: str) -> Iterator[str]:
    for each in statements:
        yield f"{indent}{_line(each)}"
        if isinstance(each, nodes.Loop):
            yield from _block(each.body, f"{indent}    ")


def _line(it: nodes.Statement) -> str:
    if isinstance(it, nodes.Symbol):
        return f"symbol {it.name}" if it.value is None else f"symbol {it.name} = {it.value}"
    if isinstance(it, nodes.Tensor):
        return f"{it.role} {it.name}: {_type(it.type)}"
    if isinstance(it, nodes.Alloc):
        return f"alloc {it.name}: {_type(it.type)} in {it.memory}"
    if isinstance(it, nodes.Loop):
        return f"{_loop(it)}:"
    if isinstance(it, nodes.Load):
        return f"load {it.buffer} <- {_region(it.region)}{' clip' if it.clip else ''}"
    if isinstance(it, nodes.Store):
        return f"store {it.buffer} -> {_region(it.region)}"
    if isinstance(it, nodes.Leave):
        return f"leave{_from(it.sources)}: {it.text}"
    return f"compute {', '.join(it.results)}{_from(it.sources)}: {it.text}"


def _loop(loop: nodes.Loop) -> str:
    parts = [f"for {loop.variable} in {expression(loop.start)}..{expression(loop.stop)}"]
    parts += [f"step {expression(loop.step)}"] if loop.step != nodes.Number(1) else []
    parts += ["tail"] if loop.tail else []
    return " ".join([*parts, *map(_hint, loop.hints)])


def _hint(hint: nodes.Hint) -> str:
    return f"@{hint.name}" if hint.argument is None else f"@{hint.name}({hint.argument})"


def _from(sources: Iterable[str]) -> str:
    named = ", ".join(sources)
    return f" from {named}" if named else ""


def _type(it: nodes.Type) -> str:
    return f"{it.dtype}[{', '.join(map(expression, it.dims))}]"


def _region(region: nodes.Region) -> str:
    return f"{region.tensor}[{', '.join(map(_index, region.indices))}]"


def _index(it: nodes.Index) -> str:
    if isinstance(it, nodes.Span):
        return f"{expression(it.start)}:{expression(it.stop)}"
    if isinstance(it, nodes.At):
        return expression(it.place)
    return ":" if isinstance(it, nodes.Whole) else "?"
