"""The tokens of a line of a sketch, and what they are parts of."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, NoReturn, TypeVar, cast

from kernelwright.proposers.llm.sketch import nodes

_MOST_TOKENS, _MOST_DIGITS, _MOST_LETTERS, _MOST_DEPTH = 200, 12, 60, 20
"""Sketches may be malicious: tokens of a line, digits of a number, letters of a name, parentheses in one another."""
_TOKEN = re.compile(r"\s*(?:(\d+|[A-Za-z_]\w*|<-|->|\.\.|[-+*()\[\]:,=@?])|(\S))", re.ASCII)
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
FORMS = {
    "sketch": "sketch NAME",
    "symbol": "symbol NAME = NUMBER, or symbol NAME",
    "input": "input NAME: DTYPE[SIZE, ...]",
    "output": "output NAME: DTYPE[SIZE, ...]",
    "alloc": "alloc NAME: DTYPE[SIZE, ...] in MEMORY",
    "for": "for NAME in START..STOP step SIZE tail @HINT:",
    "load": "load BUFFER <- TENSOR[START:STOP, ...]",
    "store": "store BUFFER -> TENSOR[START:STOP, ...]",
    "compute": "compute RESULT, ... from SOURCE, ...: WHAT IS DONE",
    "leave": "leave from SOURCE, ...: WHEN",
}
_RESERVED = {*FORMS, "clip", "from", "in", "step", "tail"}
_T = TypeVar("_T")


class Wrong(Exception):
    """A line does not follow its form."""


class Tokens:
    """The tokens of a line, taken one after the other."""

    def __init__(self, text: str, keyword: str) -> None:
        self.form = FORMS.get(keyword, "")
        self.all: list[str] = []
        self.at = self.depth = 0
        for match in _TOKEN.finditer(text):
            if match[2]:
                raise Wrong(f"`{match[2]}` means nothing here; write `{self.form}`")
            self.all.append(match[1])
        if len(self.all) > _MOST_TOKENS:
            raise Wrong(f"the line has more than {_MOST_TOKENS} words; name sizes with `symbol NAME = NUMBER`")

    @property
    def next(self) -> str:
        """The token that comes next; empty at the line's end."""
        return self.all[self.at] if self.at < len(self.all) else ""

    def fail(self, wanted: str) -> NoReturn:
        """Raises `Wrong`: something else should stand here."""
        found = f"`{self.next[:_MOST_LETTERS]}` stands" if self.next else "the line ends"
        raise Wrong(f"{found} where {wanted} should be; write `{self.form}`")

    def has(self, token: str) -> bool:
        """Whether this token comes next; if so it is taken."""
        found = self.next == token
        self.at += found
        return found

    def take(self, token: str) -> None:
        """Takes this token, which must come next."""
        if not self.has(token):
            self.fail(f"`{token}`")

    def name(self) -> str:
        """Takes a name."""
        name = self.next
        if not _NAME.fullmatch(name) or name in _RESERVED or len(name) > _MOST_LETTERS:
            self.fail(f"a name of at most {_MOST_LETTERS} letters that means nothing else")
        self.at += 1
        return name

    def integer(self) -> int:
        """Takes a number."""
        if not self.next.isdigit() or len(self.next) > _MOST_DIGITS:
            self.fail(f"a number of at most {_MOST_DIGITS} digits")
        self.at += 1
        return int(self.all[self.at - 1])

    def end(self) -> None:
        """Sees to it that nothing is left."""
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

    def type(self) -> nodes.Type:
        """Takes a dtype and a shape."""
        dtype = self.name()
        self.take("[")
        return nodes.Type(dtype, self.many(self.expression, "]"))

    def expression(self) -> nodes.Expression:
        """Takes a size."""
        return self._chain(("+", "-"), lambda: self._chain(("*",), self._factor))

    def _chain(self, ops: Sequence[str], part: Callable[[], nodes.Expression]) -> nodes.Expression:
        left = part()
        while (op := self.next) in ops:
            self.at += 1
            left = nodes.Operation(cast("Literal['+', '-', '*']", op), left, part())
        return left

    def _factor(self) -> nodes.Expression:
        if self.has("("):
            self._deeper()
            inner = self.expression()
            self.take(")")
            self.depth -= 1
            return inner
        if self.all[self.at : self.at + 2] == ["min", "("]:
            return self._smaller()
        if self.next.isdigit():
            return nodes.Number(self.integer())
        if not _NAME.fullmatch(self.next):
            self.fail("a number or a name (sizes know + - * min and parentheses)")
        return nodes.Name(self.name())

    def _smaller(self) -> nodes.Expression:
        self.at += 2
        self._deeper()
        left = self.expression()
        self.take(",")
        right = self.expression()
        self.take(")")
        self.depth -= 1
        return nodes.Operation("min", left, right)

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > _MOST_DEPTH:
            raise Wrong(f"parentheses are nested more than {_MOST_DEPTH} deep")

    def region(self) -> nodes.Region:
        """Takes a part of a tensor."""
        tensor = self.name()
        self.take("[")
        return nodes.Region(tensor, self.many(self._index, "]"))

    def _index(self) -> nodes.Index:
        if self.has("?"):
            return nodes.Somewhere()
        if self.has(":"):
            return nodes.Whole()
        start = self.expression()
        return nodes.Span(start, self.expression()) if self.has(":") else nodes.At(start)

    def hint(self) -> nodes.Hint:
        """Takes a hint, after its `@`."""
        name = self.name()
        if not self.has("("):
            return nodes.Hint(name)
        argument = self.integer()
        self.take(")")
        return nodes.Hint(name, argument)
