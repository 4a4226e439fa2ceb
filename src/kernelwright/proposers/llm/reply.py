"""From what a model replied to a candidate's source: a whole module, or changes to a text that it was shown.

Search and replace blocks as Aider and OpenEvolve use them. What cannot be used goes back to the model with what comes
closest, so that it can mend the block instead of guessing.
"""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from kernelwright import syntax

MOST_CHARACTERS = 400_000
"""A longer source is no kernel."""
_FENCE = re.compile(r"(`{3,}|~{3,})")
_SEARCH, _DIVIDE, _REPLACE = (
    re.compile(text) for text in (r"\s*<{5,} *SEARCH\b", r"\s*={5,}\s*$", r"\s*>{5,}( *REPLACE\b|\s*$)")
)
_MOST_BLOCKS = 100
_IDEA = re.compile(r"^[ \t]*[*_#> ]*idea[*_ ]*:[*_ ]*(?P<idea>\S.*)$", re.MULTILINE | re.IGNORECASE)
_IDEA_WITHIN, _NOTE_CHARACTERS = 4000, 600
_CLASS = re.compile(r"^class ModelNew\b", re.MULTILINE)
_TASK_CLASS = re.compile(r"^class Model\b", re.MULTILINE)
_CONTEXT_LINES = 2
_MOST_COMPARED, _LINE_CHARACTERS = 4_000_000, 200
"""Replies may be malicious: pairs of lines that are compared at most, and characters of a line."""


class ReplyProblem(Exception):
    """The reply is no candidate; the text says why, to the model that wrote it."""


@dataclass(frozen=True)
class Written:
    """A candidate's source, and in one line what the model says it tries."""

    source: str
    idea: str


def read(text: str, base: str = "") -> Written:
    """The candidate in a reply.

    Args:
        text: what the model wrote.
        base: the text that search and replace blocks apply to; empty where there is none.

    Raises:
        ReplyProblem: there is no module and no block in it, a block does not fit, or the result is no Python.
    """
    lines = _lines(text)
    blocks = list(_blocks(lines))
    source = _changed(base, blocks) if blocks else _module(lines)
    if len(source) > MOST_CHARACTERS:
        raise ReplyProblem(f"the module has {len(source):,} characters; {MOST_CHARACTERS:,} are allowed")
    try:
        syntax.parse(source)
    except SyntaxError as error:
        raise ReplyProblem(f"the module is no Python: line {error.lineno}: {error.msg}: {error.text or ''}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise ReplyProblem(f"the module cannot be read as Python: {error}") from error
    if not _CLASS.search(source):
        raise ReplyProblem("the module defines no `class ModelNew`")
    return Written(source, idea(text))


def idea(text: str) -> str:
    """What a reply says of itself in its line `Idea: ...`; empty where it has none."""
    found = _IDEA.search(text[:_IDEA_WITHIN])
    return note(found["idea"].strip(" *_")) if found else ""


def note(said: str) -> str:
    """What a model says of a candidate, on one short line."""
    return textwrap.shorten(said[:_IDEA_WITHIN], _NOTE_CHARACTERS, placeholder=" …")


def task(text: str) -> str:
    """The task's file in a reply: the last fenced block with a `Model`.

    What is shown to the user must be what is written, so there is no character in it that cannot be seen.

    Raises:
        ReplyProblem: there is none.
    """
    bodies, unfinished = _fenced(_lines(text))
    files = [body for body in bodies if _TASK_CLASS.search(body)]
    if not files:
        cut = "the last block of code does not end: the reply was cut off"
        raise ReplyProblem(cut if unfinished else "the reply has no block of code with `class Model`")
    for number, line in enumerate(files[-1].split("\n"), 1):
        if hidden := [each for each in line if not (each.isprintable() or each == "\t")]:
            raise ReplyProblem(f"line {number} holds the character U+{ord(hidden[0]):04X}, which cannot be seen")
    return files[-1]


def fenced(text: str) -> list[str]:
    """The contents of all finished blocks of code in a reply.

    Raises:
        ReplyProblem: the reply is too long.
    """
    return _fenced(_lines(text))[0]


def _lines(text: str) -> list[str]:
    if len(text) > MOST_CHARACTERS:
        raise ReplyProblem(f"the reply has {len(text):,} characters; {MOST_CHARACTERS:,} are allowed")
    return text.replace("\r\n", "\n").splitlines(keepends=True)


def _module(lines: list[str]) -> str:
    """The last fenced block with a `ModelNew`, since a model that corrects itself does so at the end."""
    bodies, unfinished = _fenced(lines)
    modules = [body for body in bodies if _CLASS.search(body)]
    if modules:
        return modules[-1]
    text = "".join(lines)
    if not bodies and not unfinished and _CLASS.search(text):
        return text  # nothing but code
    if unfinished:
        raise ReplyProblem(
            "the last block of code does not end: the reply was cut off; write less, or change parts only"
        )
    raise ReplyProblem("the reply has neither a block of code with `class ModelNew` nor a search and replace block")


def _fenced(lines: list[str]) -> tuple[list[str], bool]:
    """The contents of all fenced blocks, and whether the last one is open at the end."""
    bodies: list[str] = []
    fence, start = "", 0
    for number, line in enumerate(lines):
        mark = _FENCE.match(line.lstrip())
        if not fence and mark:
            fence, start = mark[0], number + 1
        elif fence and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            bodies.append("".join(lines[start:number]))
            fence = ""
    return bodies, bool(fence)


def _blocks(lines: list[str]) -> Iterator[tuple[str, str]]:
    """What to search for and what to put there, of each complete block."""
    begin = middle = -1
    for number, line in enumerate(lines):
        if _SEARCH.match(line):
            if begin >= 0:
                raise ReplyProblem("a search and replace block does not end with a line `>>>>>>> REPLACE`")
            begin, middle = number + 1, -1
        elif begin >= 0 and middle < 0 and _DIVIDE.match(line):
            middle = number
        elif middle >= 0 and _REPLACE.match(line):
            yield "".join(lines[begin:middle]), "".join(lines[middle + 1 : number])
            begin = middle = -1
    if begin >= 0:
        raise ReplyProblem("the last search and replace block does not end with a line `>>>>>>> REPLACE`")


def _changed(base: str, blocks: list[tuple[str, str]]) -> str:
    """The base after all changes, made one after the other."""
    if not base:
        raise ReplyProblem("there is nothing to change yet: write the whole module")
    if len(blocks) > _MOST_BLOCKS:
        raise ReplyProblem(f"{len(blocks)} blocks: write the whole module instead")
    for number, (old, new) in enumerate(blocks, 1):
        base = _replaced(base, old, new, f"block {number} of {len(blocks)}")
    return base


def _replaced(base: str, old: str, new: str, which: str) -> str:
    if not old.strip():
        raise ReplyProblem(f"{which}: nothing to search for")
    places = list(_alike(base, old))
    exact = [place for place in places if not place[2]]
    if len(exact or places) == 1:
        start, stop, indent = (exact or places)[0]
        lines = base.splitlines(keepends=True)
        return "".join([*lines[:start], *_indented(new, indent), *lines[stop:]])
    part = old.removesuffix("\n")  # it may begin or end within a line
    count = len(places) or base.count(part)
    if count == 1:
        return base.replace(part, new.removesuffix("\n"))
    if count > 1:
        raise ReplyProblem(f"{which}: the text to search for stands {count} times in the module; take more lines")
    raise ReplyProblem(f"{which}: the text to search for is not in the module. {_closest(base, old)}")


def _alike(base: str, old: str) -> Iterator[tuple[int, int, int]]:
    """Where the lines of `old` stand but for trailing blanks and one shift of all indentation: first line, line after
    the last, and the shift."""
    wanted = [line.rstrip() for line in old.rstrip().splitlines()]
    lines = [line.rstrip() for line in base.splitlines()]
    if len(lines) * len(wanted) > _MOST_COMPARED:
        return
    for start in range(len(lines) - len(wanted) + 1):
        found = lines[start : start + len(wanted)]
        shifts = {_indent(got) - _indent(want) for got, want in zip(found, wanted, strict=True) if want}
        if len(shifts) == 1 and [line.lstrip() for line in found] == [line.lstrip() for line in wanted]:
            yield start, start + len(wanted), shifts.pop()


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _indented(text: str, by: int) -> list[str]:
    shifted = (" " * by + line if by > 0 else line[min(-by, _indent(line)) :] for line in text.splitlines())
    return [f"{line.rstrip()}\n" for line in shifted]


def _closest(base: str, old: str) -> str:
    """The place that resembles `old` most, for the model to copy from."""
    lines, wanted = ([line[:_LINE_CHARACTERS] for line in text.splitlines()] for text in (base, old.strip("\n")))
    anchor = max(wanted, key=lambda line: len(line.strip()))
    near = difflib.get_close_matches(anchor, lines, n=1, cutoff=0.5)
    if not near:
        return "Nothing there resembles it."
    middle = lines.index(near[0]) - wanted.index(anchor)
    start, stop = max(0, middle - _CONTEXT_LINES), middle + len(wanted) + _CONTEXT_LINES
    return "The closest place reads:\n" + "\n".join(lines[start : max(stop, start + 1)])
