"""Texts that are parsed, whoever wrote them."""

from __future__ import annotations

import ast
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from kernelwright import syntax

NESTED = "x = " + "(1, " * 50 + ")" * 50


def test_several_threads_parse_at_once() -> None:
    with ThreadPoolExecutor(8) as threads:
        trees = list(threads.map(syntax.parse, [NESTED + f"\ny = {n}" for n in range(400)]))

    assert [ast.literal_eval(tree.body[1].value) for tree in trees] == list(range(400))  # type: ignore[attr-defined]


def test_what_python_would_warn_of_is_not_said() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(syntax.parse(r"'\d' is 1", "eval").body, ast.Compare)


def test_what_is_no_python_is_an_error() -> None:
    with pytest.raises(SyntaxError):
        syntax.parse("def")
