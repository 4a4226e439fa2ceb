"""From text to a sketch; the grammar is in the package's docstring."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeVar, cast

from kernelwright.proposers.llm.sketch.nodes import (
    Alloc,
    At,
    Compute,
    Expression,
    Hint,
    Index,
    Load,
    Loop,
    Name,
    Number,
    Operation,
    Problem,
    Region,
    Sketch,
    Somewhere,
    Span,
    Statement,
    Store,
    Symbol,
    Tensor,
    Type,
    Whole,
)

MOST_CHARACTERS, MOST_DEPTH, MOST_DIGITS, MOST_TOKENS = 40_000, 20, 12, 200
"""Sketches may be malicious: what a text, its blocks and parentheses, a number and a line may be at most."""
_MOST_PROBLEMS = 10
_TOKEN = re.compile(r"\s*(?:(\d+|[A-Za-z_]\w*|<-|->|\.\.|[-+*()\[\]:,=@?])|(\S))", re.ASCII)
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_FORMS = {
    "sketch": "sketch NAME",
    "symbol": "symbol NAME = NUMBER, or symbol NAME",
    "input": "input NAME: DTYPE[SIZE, ...]",
    "output": "output NAME: DTYPE[SIZE, ...]",
    "alloc": "alloc NAME: DTYPE[SIZE, ...] in MEMORY",
    "for": "for NAME in START..STOP step SIZE tail @HINT:",
    "load": "load BUFFER <- TENSOR[START:STOP, ...]",
    "store": "store BUFFER -> TENSOR[START:STOP, ...]",
    "compute": "compute RESULT, ... from SOURCE, ...: WHAT IS DONE",
}
_RESERVED = {*_FORMS, "clip", "from", "in", "step", "tail"}
_T = TypeVar("_T")


class SketchError(Exception):
    """The text is no sketch: `problems` says where and why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
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


def parse(text: str) -> Sketch:
    """The sketch of a text.

    Raises:
        SketchError: the text does not follow the grammar; names each line that does not.
    """
    if len(text) > MOST_CHARACTERS:
        raise SketchError([Problem(1, f"the sketch has {len(text):,} characters; {MOST_CHARACTERS:,} are allowed")])
    return _Parser(_lines(text)).sketch()


def _lines(text: str) -> list[_Line]:
    """What is neither blank nor a comment. The words of `compute` may hold a `#`."""
    found = []
    for number, line in enumerate(text.expandtabs(4).splitlines(), start=1):
        words = line.strip()
        shown = words if words.startswith("compute ") else words.partition("#")[0].strip()
        if shown:
            found.append(_Line(number, len(line) - len(line.lstrip()), shown))
    return found


class _Parser:
    def __init__(self, lines: Sequence[_Line]) -> None:
        self.lines, self.at = lines, 0
        self.problems: list[Problem] = []

    def sketch(self) -> Sketch:
        if not self.lines:
            raise SketchError([Problem(1, "the sketch is empty; begin with `sketch NAME`")])
        name = self._read(self.lines[0], _head) or ""
        self.at = 1
        statements = self._block(self.lines[0].indent, 0)
        if self.problems:
            raise SketchError(self.problems)
        return Sketch(name, statements)

    def _block(self, indent: int, depth: int) -> tuple[Statement, ...]:
        """The statements from here on that are indented so far, or further."""
        made: list[Statement] = []
        while self.at < len(self.lines) and (line := self.lines[self.at]).indent >= indent:
            self.at += 1
            if line.indent > indent:
                self._wrong(line, "it is indented deeper than its block; blocks follow `for ...:` only")
            statement = self._read(line, _statement)
            body = self._body(line, depth)
            if isinstance(statement, Loop):
                if not body:
                    self._wrong(line, "the loop is empty; indent what it does below it")
                statement = Loop(**{**vars(statement), "body": body})
            if statement is not None:
                made.append(statement)
        if depth == 0 and self.at < len(self.lines):
            self._wrong(self.lines[self.at], "it is indented less than the line `sketch`")
        return tuple(made)

    def _body(self, line: _Line, depth: int) -> tuple[Statement, ...]:
        """The block below a line that begins one, also where the line itself is wrong."""
        follows = self.lines[self.at] if self.at < len(self.lines) else None
        if line.keyword != "for" or follows is None or follows.indent <= line.indent:
            return ()
        if depth == MOST_DEPTH:
            raise SketchError([Problem(line.number, f"loops are nested more than {MOST_DEPTH} deep")])
        return self._block(follows.indent, depth + 1)

    def _read(self, line: _Line, read: Callable[[_Line], _T]) -> _T | None:
        try:
            return read(line)
        except _Wrong as wrong:
            self._wrong(line, str(wrong))
            return None

    def _wrong(self, line: _Line, text: str) -> None:
        self.problems.append(Problem(line.number, text))


class _Wrong(Exception):
    """A line does not follow its form."""


class _Tokens:
    """The tokens of a line, taken one after the other."""

    def __init__(self, line: _Line, text: str) -> None:
        self.form = _FORMS.get(line.keyword, "")
        self.all: list[str] = []
        self.at = self.depth = 0
        for match in _TOKEN.finditer(text):
            if match[2]:
                raise _Wrong(f"`{match[2]}` means nothing here; write `{self.form}`")
            self.all.append(match[1])
        if len(self.all) > MOST_TOKENS:
            raise _Wrong(f"the line has more than {MOST_TOKENS} words; name sizes with `symbol NAME = NUMBER`")

    @property
    def next(self) -> str:
        return self.all[self.at] if self.at < len(self.all) else ""

    def fail(self, wanted: str) -> NoReturn:
        found = f"`{self.next}` stands" if self.next else "the line ends"
        raise _Wrong(f"{found} where {wanted} should be; write `{self.form}`")

    def has(self, token: str) -> bool:
        """Whether this token comes next; if so it is taken."""
        found = self.next == token
        self.at += found
        return found

    def take(self, token: str) -> None:
        if not self.has(token):
            self.fail(f"`{token}`")

    def name(self) -> str:
        name = self.next
        if not _NAME.fullmatch(name) or name in _RESERVED:
            self.fail("a name")
        self.at += 1
        return name

    def integer(self) -> int:
        if not self.next.isdigit() or len(self.next) > MOST_DIGITS:
            self.fail(f"a number of at most {MOST_DIGITS} digits")
        self.at += 1
        return int(self.all[self.at - 1])

    def end(self) -> None:
        if self.next:
            self.fail("the line's end")

    def many(self, one: Callable[[], _T], until: str = "") -> tuple[_T, ...]:
        """Some, with commas between; where they end with a token, there may be none."""
        if until and self.has(until):
            return ()
        found = [one()]
        while self.has(","):
            found.append(one())
        if until:
            self.take(until)
        return tuple(found)

    def type(self) -> Type:
        dtype = self.name()
        self.take("[")
        return Type(dtype, self.many(self.expression, "]"))

    def expression(self) -> Expression:
        return self._chain(("+", "-"), lambda: self._chain(("*",), self._factor))

    def _chain(self, ops: Sequence[str], part: Callable[[], Expression]) -> Expression:
        left = part()
        while (op := self.next) in ops:
            self.at += 1
            left = Operation(cast("Literal['+', '-', '*']", op), left, part())
        return left

    def _factor(self) -> Expression:
        if self.has("("):
            self.depth += 1
            if self.depth > MOST_DEPTH:
                raise _Wrong(f"parentheses are nested more than {MOST_DEPTH} deep")
            inner = self.expression()
            self.take(")")
            self.depth -= 1
            return inner
        if self.next.isdigit():
            return Number(self.integer())
        if not _NAME.fullmatch(self.next):
            self.fail("a number or a name (sizes know + - * and parentheses)")
        return Name(self.name())

    def region(self) -> Region:
        tensor = self.name()
        self.take("[")
        return Region(tensor, self.many(self._index, "]"))

    def _index(self) -> Index:
        if self.has("?"):
            return Somewhere()
        if self.has(":"):
            return Whole()
        start = self.expression()
        return Span(start, self.expression()) if self.has(":") else At(start)

    def hint(self) -> Hint:
        name = self.name()
        if not self.has("("):
            return Hint(name)
        argument = self.integer()
        self.take(")")
        return Hint(name, argument)


def _head(line: _Line) -> str:
    if line.keyword != "sketch":
        raise _Wrong(f"a sketch begins with `{_FORMS['sketch']}`")
    tokens = _Tokens(line, line.text)
    tokens.take("sketch")
    name = tokens.name()
    tokens.end()
    return name


def _statement(line: _Line) -> Statement:
    read = _STATEMENTS.get(line.keyword)
    if read is None:
        raise _Wrong(f"no statement begins with `{line.text.split()[0][:40]}`; there are {', '.join(_STATEMENTS)}")
    head, _, words = line.text.partition(":") if line.keyword == "compute" else (line.text, "", "")
    tokens = _Tokens(line, head)
    tokens.take(line.keyword)
    made: Statement = read(tokens, line.number, words.strip())
    tokens.end()
    return made


def _symbol(tokens: _Tokens, line: int, _: str) -> Symbol:
    return Symbol(tokens.name(), tokens.integer() if tokens.has("=") else None, line)


def _tensor(tokens: _Tokens, line: int, _: str) -> Tensor:
    name = tokens.name()
    tokens.take(":")
    return Tensor(cast("Literal['input', 'output']", tokens.all[0]), name, tokens.type(), line)


def _alloc(tokens: _Tokens, line: int, _: str) -> Alloc:
    name = tokens.name()
    tokens.take(":")
    kind = tokens.type()
    tokens.take("in")
    return Alloc(name, kind, tokens.name(), line)


def _loop(tokens: _Tokens, line: int, _: str) -> Loop:
    variable = tokens.name()
    tokens.take("in")
    start = tokens.expression()
    tokens.take("..")
    stop = tokens.expression()
    step = tokens.expression() if tokens.has("step") else Number(1)
    tail, hints = tokens.has("tail"), []
    while tokens.has("@"):
        hints.append(tokens.hint())
    tokens.take(":")
    return Loop(variable, start, stop, step, tail, tuple(hints), (), line)


def _load(tokens: _Tokens, line: int, _: str) -> Load:
    buffer = tokens.name()
    tokens.take("<-")
    return Load(buffer, tokens.region(), tokens.has("clip"), line)


def _store(tokens: _Tokens, line: int, _: str) -> Store:
    buffer = tokens.name()
    tokens.take("->")
    return Store(buffer, tokens.region(), line)


def _compute(tokens: _Tokens, line: int, words: str) -> Compute:
    results = tokens.many(tokens.name)
    sources = tokens.many(tokens.name) if tokens.has("from") else ()
    if not words:
        raise _Wrong(f"it does not say what is computed; write `{tokens.form}`")
    return Compute(results, sources, words, line)


_STATEMENTS: dict[str, Callable[[_Tokens, int, str], Any]] = {
    "symbol": _symbol,
    "input": _tensor,
    "output": _tensor,
    "alloc": _alloc,
    "for": _loop,
    "load": _load,
    "store": _store,
    "compute": _compute,
}
