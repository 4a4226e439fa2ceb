"""What a document is, and what is said of a file that is none."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelwright.errors import UsageError
from kernelwright.knowledge import Document, Source
from kernelwright.knowledge.document import CONTROL, LARGEST, load, parse

GOOD = """\
---
title: Our tensors
kind: lesson
languages: [cpp]
operations: [softmax, _log_softmax]
source:
  run: rmsnorm-1
  task: RMS norm
  speedup: 2.5
  date: 2026-11-21
---

# A heading

Text.
"""


def test_a_file_is_read() -> None:
    found = parse(GOOD, "x.md")
    assert (found.title, found.kind, found.languages, found.targets) == ("Our tensors", "lesson", ("cpp",), ())
    assert found.source == Source(run="rmsnorm-1", task="RMS norm", speedup=2.5, date=dt.date(2026, 11, 21))
    assert found.text == "# A heading\n\nText."
    assert parse(GOOD.replace("\n", "\r\n"), "x.md") == found


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("---\ntitle", "title", 1, "front matter"),
        ("2026-11-21\n---", "2026-11-21", 1, "front matter"),
        ("title: Our tensors\n", "", 2, "`title`: it is missing"),
        ("title: Our tensors", "title:", 2, "`title`: it is empty"),
        ("Our tensors", "[a, b]", 2, "`title`"),
        ("kind: lesson", "kind: advice", 3, "'constraint'"),
        ("kind: lesson", "kind: guidance", 2, "nothing else, has a `source`"),
        ("languages: [cpp]", "languages: cpp", 4, "`languages`: it must be a list such as [cpp]"),
        ("languages: [cpp]", "languages: [cpp, '']", 4, "`languages.1`: it is empty"),
        ("languages: [cpp]", "languages: [cpp", 5, "not YAML"),
        ("languages: [cpp]", "lanuages: [cpp]", 4, "`lanuages`: there is no such key"),
        ("languages: [cpp]", "text: cpp", 4, "below the front matter"),
        ("languages: [cpp]", "kind: win", 4, "`kind` stands there twice"),
        ("languages: [cpp]", "languages: &all [*all]", 4, "not YAML"),
        ("speedup: 2.5", "speedup: fast", 9, "`source.speedup`"),
        ("speedup: 2.5", "speedup: nan", 9, "`source.speedup`"),
        ("speedup: 2.5", "speed: 2.5", 9, "`source.speed`"),
        ("2026-11-21", "yesterday", 10, "`source.date`"),
        ("\n# A heading\n\nText.\n", "", 11, "no text"),
        ("Text.", "Te\x1b[31mxt.", 15, "control character"),
        ("title: Our tensors", "title: \x07", 2, "control character"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(old: str, new: str, line: int, what: str) -> None:
    assert old in GOOD
    with pytest.raises(UsageError) as raised:
        parse(GOOD.replace(old, new, 1), "x.md")
    assert str(raised.value).startswith(f"x.md:{line}: ")
    assert what in str(raised.value)


@pytest.mark.parametrize(
    "front", ["[" * 50_000, "a: " * 5_000, "- x", "just words", "{" * 500 + "}" * 500, "? [a]\n: b"]
)
def test_hostile_front_matter_is_refused(front: str) -> None:
    with pytest.raises(UsageError, match=r"x.md:\d+: "):
        parse(f"---\n{front}\n---\ntext", "x.md")


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    path.write_bytes(b"---\ntitle: \xff\n")
    with pytest.raises(UsageError, match=r"x.md:2: it is not UTF-8"):
        load(path)
    path.write_bytes(b"x" * (LARGEST + 1))
    with pytest.raises(UsageError, match="at most 64 kB"):
        load(path)
    with pytest.raises(UsageError, match="cannot read it"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / os.fsdecode(b"missing"))


PLAIN = st.text(min_size=1, max_size=80).filter(lambda text: not CONTROL.search(text) and "\n" not in text)
WORDS = st.lists(PLAIN, max_size=3).map(tuple)


@settings(max_examples=50)
@given(
    title=PLAIN, languages=WORDS, operations=WORDS, task=PLAIN, text=PLAIN.map(str.strip).filter(bool),
    speedup=st.none() | st.floats(1e-6, 1e6), candidate=st.text("0123456789abcdef", max_size=16),
    date=st.dates(), kind=st.sampled_from(["win", "lesson", "guidance"]),
)  # fmt: skip
def test_what_is_written_is_read_back(title, languages, operations, task, text, speedup, candidate, date, kind) -> None:
    source = Source(run="run-1", task=task, candidate=candidate, speedup=speedup, date=date)
    document = Document(
        title=title, kind=kind, languages=languages, operations=operations, text=text,
        source=None if kind == "guidance" else source,
    )  # fmt: skip
    assert parse(document.markdown(), "x.md") == document
