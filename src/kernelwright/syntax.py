"""Python texts as trees, without running them."""

from __future__ import annotations

import ast
import threading
import warnings
from typing import Literal, overload

_TURN = threading.Lock()
"""CPython 3.11 counts how deep a tree is for all threads together: two that parse at once can be a SystemError."""


@overload
def parse(text: str | bytes, mode: Literal["exec"] = "exec") -> ast.Module: ...


@overload
def parse(text: str | bytes, mode: Literal["eval"]) -> ast.Expression: ...


def parse(text: str | bytes, mode: str = "exec") -> ast.AST:
    """The tree of a text that may be anybody's: odd escapes and literals in it are no concern of the user's terminal.

    Raises:
        SyntaxError: it is not Python.
        ValueError: it holds a null byte.
        RecursionError, MemoryError: it is nested too deeply.
    """
    with _TURN, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode=mode)
