"""A candidate's source as safe HTML: highlighted, and as the difference from its parent."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup
from pygments import highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

_KINDS = {"+": "added", "-": "removed", "@": "hunk", " ": "same"}


@dataclass(frozen=True)
class DiffLine:
    """One line of a difference: `added`, `removed`, `same`, or `hunk`, which says where the next part begins."""

    kind: str
    text: str


def highlighted(source: str) -> Markup:
    """The source with line numbers, escaped by pygments."""
    formatter = HtmlFormatter(linenos="inline", cssclass="code", wrapcode=True)
    return Markup(highlight(source, PythonLexer(stripnl=False), formatter))


def styles() -> Markup:
    """CSS of the highlighting for the light and the dark theme."""
    light = HtmlFormatter(style="friendly").get_style_defs(".code")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".code")
    return Markup(f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}")


def difference(parent: str, child: str) -> list[DiffLine]:
    """What changed from parent to child, with three lines around each change; empty when nothing did."""
    return list(_difference(parent, child))


def _difference(parent: str, child: str) -> Iterator[DiffLine]:
    lines = difflib.unified_diff(parent.splitlines(), child.splitlines(), lineterm="", n=3)
    for number, line in enumerate(lines):
        if number < 2:  # The two lines that would name the files.
            continue
        kind = _KINDS[line[0]]
        yield DiffLine(kind, line if kind == "hunk" else line[1:])
