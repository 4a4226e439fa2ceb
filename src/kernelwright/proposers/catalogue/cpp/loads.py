"""Loads as C++: whole vectors where lanes follow each other or lie evenly apart, element by element elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kernelwright.proposers.catalogue.affine import stride
from kernelwright.proposers.catalogue.ir import Apply, Axis, Load, Term

if TYPE_CHECKING:
    from kernelwright.proposers.catalogue.cpp.expressions import Emitter

Coordinates = list[tuple[Axis, str]]


def vector_load(emitter: Emitter, load: Load) -> str:
    """A load whose lanes lie at different places."""
    if text := _at_places(emitter, load):
        return text
    steps = [_step(term, emitter.names.vector) for term in load.terms]
    moving = [place for place, step in enumerate(steps) if step != 0]
    if len(moving) != 1 or (step := steps[moving[0]]) is None:
        return _gathered(emitter, load)
    inside, guarded = load.terms[moving[0] + 1 :], load.otherwise is not None and load.terms[moving[0]].at is not None
    if inside and guarded:
        return _gathered(emitter, load)
    scalar = emitter.scalar()
    coordinates = [(term.axis, scalar.coordinate(term)) for term in load.terms]
    emitter.lines += scalar.lines
    if guarded:
        return _within(emitter, load, coordinates, step)
    pointer = _pointer(emitter, load, coordinates)
    text = _apart(emitter, step, inside, pointer) if inside else _strided(emitter, step, pointer, "span")
    outer = _outside(emitter, load, coordinates)
    return f"({outer} ? {_otherwise(emitter, load)} : {text})" if outer else text


def scalar_load(emitter: Emitter, load: Load, element: str) -> str:
    """An element, or what stands for it outside the tensor."""
    coordinates = [(term.axis, emitter.coordinate(term)) for term in load.terms]
    outside = _outside(emitter, load, coordinates)
    text = element.format(_element(emitter, load, coordinates))
    return f"({outside} ? {emitter.text(load.otherwise)} : {text})" if outside and load.otherwise else text


def _element(emitter: Emitter, load: Load, coordinates: Coordinates) -> str:
    return f"{emitter.names.pointer(load.buffer)}[{emitter.names.offset(coordinates) or '0'}]"


def _step(term: Term, vector: Axis | None) -> int | None:
    if term.at is not None:
        return stride(term.at, vector)
    return int(term.axis is vector)


def _pointer(emitter: Emitter, load: Load, coordinates: Coordinates) -> str:
    name, offset = emitter.names.pointer(load.buffer), emitter.names.offset(coordinates)
    return f"{name} + {offset}" if offset else name


def _strided(emitter: Emitter, step: int, pointer: str, span: str) -> str:
    if step == 1:
        return f"load({pointer}, {span})"
    emitter.names.snippets.add("strided")
    return f"load_every<{step}>({pointer}, {span})"


def _apart(emitter: Emitter, step: int, inside: Sequence[Term], pointer: str) -> str:
    """Lanes that are as far apart as the dimensions inside are large."""
    sizes = [emitter.names.sizes(term.axis) for term in inside]
    return f"load_apart({pointer}, {' * '.join([str(step)] * (step != 1) + sizes)}, span)"


def _within(emitter: Emitter, load: Load, coordinates: Coordinates, step: int) -> str:
    """A row's elements, and something else beside the row or where there is no such row."""
    emitter.names.snippets |= {"strided", "within"}
    (axis, first), rest = coordinates[-1], coordinates[:-1]
    row = _pointer(emitter, load, [*rest, (axis, "0")]).removesuffix(" + 0")
    text = f"load_within<{step}>({row}, {first}, {emitter.names.sizes(axis)}, {_otherwise(emitter, load)}, span)"
    outside = _outside(emitter, load, coordinates, but_last=True)
    return f"({outside} ? {_otherwise(emitter, load)} : {text})" if outside else text


def _otherwise(emitter: Emitter, load: Load) -> str:
    assert load.otherwise is not None  # the caller has checked
    return emitter.as_vector(load.otherwise)


def _outside(emitter: Emitter, load: Load, coordinates: Coordinates, *, but_last: bool = False) -> str:
    """A condition for coordinates beyond their axes; empty where none can be."""
    if load.otherwise is None:
        return ""
    computed = [
        (axis, text)
        for term, (axis, text) in zip(load.terms, coordinates, strict=True)
        if term.at is not None and not emitter.is_inside(term) and not (but_last and term is load.terms[-1])
    ]
    emitter.names.snippets |= {"within"} if computed else set()
    return " || ".join(f"outside({text}, {emitter.names.sizes(axis)})" for axis, text in computed)


def _at_places(emitter: Emitter, load: Load) -> str | None:
    """Lanes that lie in one row of the tensor, at places that are kept in an array."""
    *outer, last = load.terms
    if load.otherwise is not None or not isinstance(last.at, Apply) or last.at not in emitter.arrays:
        return None
    if any(_step(term, emitter.names.vector) != 0 for term in outer):
        return None
    emitter.names.snippets.add("places")
    coordinates = [(term.axis, emitter.coordinate(term)) for term in outer]
    row = _pointer(emitter, load, [*coordinates, (last.axis, "0")]).removesuffix(" + 0")
    return f"load_places({row}, {emitter.names.sizes(last.axis)}, {emitter.arrays[last.at]} + j, span)"


def _gathered(emitter: Emitter, load: Load) -> str:
    """Lanes at any places."""
    vector = emitter.names.vector
    coordinates, checks = [], []
    for term in load.terms:
        varies = term.axis is vector if term.at is None else emitter.is_vector(term.at)
        text = "positions<int64_t>(j)" if term.at is None and varies else emitter.coordinate(term)
        coordinates.append((term.axis, text))
        if load.otherwise is not None and term.at is not None and not emitter.is_inside(term):
            size = emitter.names.sizes(term.axis)
            inside = f"({text} >= 0) & ({text} < {size})"
            checks.append(f"mask({inside})" if varies else f"splat<int32_t>(-({inside}))")
    name, offset = emitter.names.pointer(load.buffer), emitter.names.offset(coordinates)
    if not checks:
        return f"gather({name}, {offset}, span)"
    there = emitter.statement("M", " & ".join(checks))
    safe = f"pick({there}, vec<int64_t>({offset}), vec<int64_t>{{}})"
    return f"pick({there}, gather({name}, {safe}, span), {_otherwise(emitter, load)})"
