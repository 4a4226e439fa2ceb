from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelwright.proposers.llm import reply
from kernelwright.proposers.llm.reply import ReplyProblem

MODULE = """import torch
from torch import nn


class ModelNew(nn.Module):
    def forward(self, x):
        if x.ndim:
            y = x + 1
        return y
"""


def changes(*pairs: tuple[str, str]) -> str:
    return "\n".join(f"<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE" for old, new in pairs)


def test_a_whole_module_is_read_with_its_idea() -> None:
    written = reply.read(f"Let me think.\n\n**Idea:** one pass\rover each row\n\n```python\n{MODULE}```\nDone.")
    assert written.source == MODULE
    assert written.idea == "one pass over each row"


def test_the_last_of_several_modules_counts_and_other_blocks_do_not() -> None:
    text = f"```cpp\nint x;\n```\n```python\n{MODULE}```\nNo, better:\n~~~py\n{MODULE}# better\n~~~\n```bash\nls\n```"
    assert reply.read(text).source == f"{MODULE}# better\n"


def test_nothing_but_code_is_a_module_too() -> None:
    assert reply.read(MODULE).source == MODULE


def test_changes_are_made_one_after_the_other() -> None:
    text = changes(("            y = x + 1\n", "            y = x + 2\n"), ("y = x + 2\n", "y = x + 3\n"))
    assert "y = x + 3" in reply.read(f"Idea: three\n{text}", MODULE).source


def test_blanks_and_a_shift_of_all_lines_do_not_matter_and_what_comes_in_is_shifted_too() -> None:
    text = changes(("if x.ndim:   \n    y = x + 1\n", "if x.ndim > 1:\n    y = x - 1\n"))
    written = reply.read(text, MODULE)
    assert "        if x.ndim > 1:\n            y = x - 1\n        return y\n" in written.source


def test_one_line_without_its_blanks_is_found_as_a_line_and_not_within_another() -> None:
    text = changes(("y = x + 1\n", "if x.numel():\n    y = x + 2\n"))
    written = reply.read(text, MODULE + "# y = x + 1 or so\n")
    assert "            if x.numel():\n                y = x + 2\n" in written.source


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("y = x +\n", "y = 2 *\n"),
        ("x + 1\n", "2 * 1\n"),
        ("ndim:\n            y = x +\n", "ndim:\n            y = 2 *\n"),
        ("x + 1\n        return\n", "2 * 1\n        return\n"),
    ],
)
def test_what_is_searched_for_may_begin_and_end_within_a_line(old: str, new: str) -> None:
    written = reply.read(changes((old, new)), MODULE)
    assert written.source == MODULE.replace("y = x + 1", "y = 2 * 1")


def test_blocks_may_be_indented_and_end_with_the_bare_sign() -> None:
    text = "1. do it\n   <<<<<<< SEARCH\n            y = x + 1\n   =======\n            y = x + 2\n   >>>>>>>\n"
    assert "            y = x + 2\n" in reply.read(text, MODULE).source


def test_windows_line_ends_are_no_obstacle() -> None:
    assert reply.read(f"```python\n{MODULE}```".replace("\n", "\r\n")).source == MODULE


@pytest.mark.parametrize(
    ("text", "base", "words"),
    [
        ("I cannot help with that.", MODULE, "neither a block"),
        (f"```python\n{MODULE}", "", "cut off"),
        ("<<<<<<< SEARCH\n    y = x + 1\n=======\n    y =", MODULE, "does not end"),
        (
            "<<<<<<< SEARCH\na\n=======\nb\n" + changes(("        return y\n", "        return x\n")),
            MODULE,
            "does not end",
        ),
        (changes(("y = x + 1\n", "y = x\n")), "", "whole module"),
        (changes(("y = x * 1\n", "y = x\n")), MODULE, r"y = x \+ 1"),
        (changes(("        return y\n", "        return x\n")), MODULE + MODULE, "stands 2 times"),
        (changes(("\n", "y\n")), MODULE, "nothing to search for"),
        (f"```python\n{MODULE}    return (\n```", "", "no Python"),
        ("```python\nclass ModelNew(:\n```", "", "line 1"),
        (changes(("class ModelNew(nn.Module):\n", "class Model(nn.Module):\n")), MODULE, "no `class ModelNew`"),
        (f"```python\n{MODULE}# {'x' * reply.MOST_CHARACTERS}\n```", "", "characters"),
        (f"```python\n{MODULE}x = '\0'\n```", "", "Python"),
        (f"```python\n{MODULE}x = {'(' * 5000}\n```", "", "Python"),
    ],
)
def test_what_cannot_be_used_is_told_with_what_to_do(text: str, base: str, words: str) -> None:
    with pytest.raises(ReplyProblem, match=words):
        reply.read(text, base)


@given(st.text(alphabet="`~<>= SEARCHREPLACE\nclass ModelNew:x", max_size=400), st.sampled_from(["", MODULE]))
def test_no_text_is_more_than_a_problem(text: str, base: str) -> None:
    try:
        written = reply.read(text, base)
    except ReplyProblem as problem:
        assert str(problem)
    else:
        assert "class ModelNew" in written.source


@pytest.mark.parametrize(
    "text",
    [
        "<<<<<<< SEARCH\n" * 20_000,
        "```\n" * 90_001,
        "idea" + " " * 390_000,
        changes(("x\n" * 100_000, "y\n")),
        "`" * 390_000,
    ],
)
def test_hostile_replies_do_not_take_long(text: str) -> None:
    begin = time.process_time()
    with pytest.raises(ReplyProblem):
        reply.read(text, MODULE * 1000)
    assert time.process_time() - begin < 20
