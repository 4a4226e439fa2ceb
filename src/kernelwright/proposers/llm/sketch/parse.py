"""From text to a sketch; the grammar is in the package's docstring."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, cast

from kernelwright.proposers.llm.sketch import nodes
from kernelwright.proposers.llm.sketch.tokens import FORMS, Tokens, Wrong

MOST_CHARACTERS, MOST_DEPTH = 40_000, 20
"""Sketches may be malicious: how long a text and how deep its blocks may be."""
_MOST_PROBLEMS = 10
_IN_WORDS = ("compute ", "leave ", "leave:")
"""How statements begin that end in words."""
_T = TypeVar("_T")


class SketchError(Exception):
    """The text is no sketch: `problems` says where and why."""

    def __init__(self, problems: Sequence[nodes.Problem]) -> None:
        self.problems = tuple(problems[:_MOST_PROBLEMS])
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True)
class _Line:
    number: int
    indent: int
    text: str

    @property
    def keyword(self) -> str:
        """Its first word."""
        return re.split(r"\W", self.text, maxsplit=1)[0]


def parse(text: str) -> nodes.Sketch:
    """The sketch of a text.

    Raises:
        SketchError: the text does not follow the grammar; names each line that does not.
    """
    if len(text) > MOST_CHARACTERS:
        raise SketchError(
            [nodes.Problem(1, f"the sketch has {len(text):,} characters; {MOST_CHARACTERS:,} are allowed")]
        )
    return _Parser(_lines(text)).sketch()


def _lines(text: str) -> list[_Line]:
    """What is neither blank nor a comment. The words of `compute` and `leave` may hold a `#`."""
    found = []
    for number, line in enumerate(text.expandtabs(4).splitlines(), start=1):
        words = line.strip()
        shown = words if words.startswith(_IN_WORDS) else words.partition("#")[0].strip()
        if shown:
            found.append(_Line(number, len(line) - len(line.lstrip()), shown))
    return found


class _Parser:
    def __init__(self, lines: Sequence[_Line]) -> None:
        self.lines, self.at = lines, 0
        self.problems: list[nodes.Problem] = []

    def sketch(self) -> nodes.Sketch:
        if not self.lines:
            raise SketchError([nodes.Problem(1, "the sketch is empty; begin with `sketch NAME`")])
        name = self._read(self.lines[0], _head) or ""
        self.at = 1
        statements = self._block(self.lines[0].indent, 0)
        if self.problems:
            raise SketchError(self.problems)
        return nodes.Sketch(name, statements)

    def _block(self, indent: int, depth: int) -> tuple[nodes.Statement, ...]:
        """The statements from here on that are indented so far, or further."""
        made: list[nodes.Statement] = []
        while self.at < len(self.lines) and (line := self.lines[self.at]).indent >= indent:
            self.at += 1
            if line.indent > indent:
                self._wrong(line, "it is indented deeper than its block; blocks follow `for ...:` only")
            statement = self._read(line, _statement)
            body = self._body(line, depth)
            if isinstance(statement, nodes.Loop):
                if not body:
                    self._wrong(line, "the loop is empty; indent what it does below it")
                statement = replace(statement, body=body)
            if statement is not None:
                made.append(statement)
        if depth == 0 and self.at < len(self.lines):
            self._wrong(self.lines[self.at], "it is indented less than the line `sketch`")
        return tuple(made)

    def _body(self, line: _Line, depth: int) -> tuple[nodes.Statement, ...]:
        """The block below a line that begins one, also where the line itself is wrong."""
        follows = self.lines[self.at] if self.at < len(self.lines) else None
        if line.keyword != "for" or follows is None or follows.indent <= line.indent:
            return ()
        if depth == MOST_DEPTH:
            raise SketchError([nodes.Problem(line.number, f"loops are nested more than {MOST_DEPTH} deep")])
        return self._block(follows.indent, depth + 1)

    def _read(self, line: _Line, read: Callable[[_Line], _T]) -> _T | None:
        try:
            return read(line)
        except Wrong as wrong:
            self._wrong(line, str(wrong))
            return None

    def _wrong(self, line: _Line, text: str) -> None:
        self.problems.append(nodes.Problem(line.number, text))


def _head(line: _Line) -> str:
    if line.keyword != "sketch":
        raise Wrong(f"a sketch begins with `{FORMS['sketch']}`")
    tokens = Tokens(line.text, line.keyword)
    tokens.take("sketch")
    name = tokens.name()
    tokens.end()
    return name


def _statement(line: _Line) -> nodes.Statement:
    read = _STATEMENTS.get(line.keyword)
    if read is None:
        raise Wrong(f"no statement begins with `{line.text.split()[0][:40]}`; there are {', '.join(_STATEMENTS)}")
    head, _, words = line.text.partition(":") if line.text.startswith(_IN_WORDS) else (line.text, "", "")
    tokens = Tokens(head, line.keyword)
    tokens.take(line.keyword)
    made: nodes.Statement = read(tokens, line.number, words.strip())
    tokens.end()
    return made


def _symbol(tokens: Tokens, line: int, _: str) -> nodes.Symbol:
    return nodes.Symbol(tokens.name(), tokens.integer() if tokens.has("=") else None, line)


def _tensor(tokens: Tokens, line: int, _: str) -> nodes.Tensor:
    name = tokens.name()
    tokens.take(":")
    return nodes.Tensor(cast("Literal['input', 'output']", tokens.all[0]), name, tokens.type(), line)


def _alloc(tokens: Tokens, line: int, _: str) -> nodes.Alloc:
    name = tokens.name()
    tokens.take(":")
    kind = tokens.type()
    tokens.take("in")
    return nodes.Alloc(name, kind, tokens.name(), line)


def _loop(tokens: Tokens, line: int, _: str) -> nodes.Loop:
    variable = tokens.name()
    tokens.take("in")
    start = tokens.expression()
    tokens.take("..")
    stop = tokens.expression()
    step = tokens.expression() if tokens.has("step") else nodes.Number(1)
    tail, hints = tokens.has("tail"), []
    while tokens.has("@"):
        hints.append(tokens.hint())
    tokens.take(":")
    return nodes.Loop(variable, start, stop, step, tail, tuple(hints), (), line)


def _load(tokens: Tokens, line: int, _: str) -> nodes.Load:
    buffer = tokens.name()
    tokens.take("<-")
    return nodes.Load(buffer, tokens.region(), tokens.has("clip"), line)


def _store(tokens: Tokens, line: int, _: str) -> nodes.Store:
    buffer = tokens.name()
    tokens.take("->")
    return nodes.Store(buffer, tokens.region(), line)


def _compute(tokens: Tokens, line: int, words: str) -> nodes.Compute:
    results = tokens.many(tokens.name)
    sources = tokens.many(tokens.name) if tokens.has("from") else ()
    if not words:
        raise Wrong(f"it does not say what is computed; write `{tokens.form}`")
    return nodes.Compute(results, sources, words, line)


def _leave(tokens: Tokens, line: int, words: str) -> nodes.Leave:
    sources = tokens.many(tokens.name) if tokens.has("from") else ()
    if not words:
        raise Wrong(f"it does not say when; write `{tokens.form}`")
    return nodes.Leave(sources, words, line)


_STATEMENTS: dict[str, Callable[[Tokens, int, str], Any]] = {
    "symbol": _symbol,
    "input": _tensor,
    "output": _tensor,
    "alloc": _alloc,
    "for": _loop,
    "load": _load,
    "store": _store,
    "compute": _compute,
    "leave": _leave,
}
