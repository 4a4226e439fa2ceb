"""Numbers, layout, differences and files."""

from __future__ import annotations

import ast
import dataclasses
import io
import os
import tokenize

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_run import HOSTILE

from kernelwright import format as fmt
from kernelwright.errors import MachineError
from kernelwright.proposers.llm.config import Configuration, ModelConfig
from kernelwright.proposers.llm.limits import Limits
from kernelwright.report import files
from kernelwright.report.layout import places
from kernelwright.report.source import difference


@pytest.mark.parametrize(
    ("us", "text"),
    [(None, "–"), (0.5, "0.500 µs"), (7.214, "7.21 µs"), (999.7, "1.00 ms"), (11_800, "11.8 ms"), (2.5e6, "2.50 s")],
)
def test_times(us, text):
    assert fmt.time(us) == text


def test_other_numbers():
    assert fmt.size(134_217_728) == "134 MB"
    assert fmt.rate(2.1e10, "B/s") == "21.0 GB/s"
    assert fmt.speedup(7.214) == "7.21×"
    assert fmt.interval((7.05, 7.334)) == "7.05–7.33"
    assert fmt.percent(0.844) == "84 %"
    assert fmt.seconds(200) == "3 min 20 s"


@given(st.lists(st.integers(min_value=0, max_value=1000), max_size=60))
def test_layout_keeps_children_below_parents_and_siblings_apart(choices):
    nodes: list[tuple[str, list[str]]] = []
    for number, choice in enumerate(choices):
        known = [name for name, _ in nodes]
        nodes.append((str(number), [known[choice % len(known)]] if known and choice % 3 else []))
    spots = places(nodes)
    assert len(set(spots.values())) == len(nodes), "no two on the same spot"
    for name, parents in nodes:
        for parent in parents:
            assert spots[name][1] == spots[parent][1] - 1


def test_layout_of_a_chain_deeper_than_the_stack():
    chain = [(str(number), [str(number - 1)] if number else []) for number in range(3000)]
    assert places(chain)["2999"] == (0, -2999)


def test_difference_names_lines_added_and_removed():
    lines = difference("a\nb\nc\n", "a\nx\nc\n")
    assert [(line.kind, line.text) for line in lines if line.kind in ("added", "removed")] == [
        ("removed", "b"),
        ("added", "x"),
    ]
    assert difference("same\n", "same\n") == []


@pytest.mark.parametrize("text", ["-- leading dashes", "++ leading pluses", "@@ not a hunk"])
def test_difference_of_lines_that_look_like_its_own_marks(text):
    lines = difference("a\n", f"a\n{text}\n")
    assert [(line.kind, line.text) for line in lines if line.kind == "added"] == [("added", text)]


def test_settings_are_told_in_words_without_what_nobody_chose(view):
    asked = Configuration(models=(ModelConfig(spec="ollama:any"),), limits=Limits(calls=12)).model_dump(mode="json")
    settings = {"proposers": ["tuner", "operator"], "models": asked, "replay": None, "prompts": [], "budget_s": 60.0}
    assert dataclasses.replace(view, settings=settings).chosen == {
        "proposers": "tuner, operator", "models": "spec ollama:any", "limits": "calls 12", "budget s": "60.0",
    }  # fmt: skip


def test_kernel_file_is_python_whatever_the_task_is_called(view):
    text = files.kernel_file(view)
    ast.parse(text)
    header = text.split("\n\n")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    for wanted in (view.run, "AMD EPYC 7B13", "7.20×", "2.4e-07", "ModelNew"):
        assert wanted in header


def test_kernel_file_keeps_its_encoding_whatever_the_task_is_called(view):
    task = view.task.model_copy(update={"name": "x coding: utf-7"})
    text = files.kernel_file(dataclasses.replace(view, task=task))
    assert tokenize.detect_encoding(io.BytesIO(text.encode()).readline)[0] == "utf-8"


def test_files_are_named_after_the_task_and_stay_in_their_folder(view, tmp_path):
    source, report = files.write(view, tmp_path / "new")
    assert source is not None
    assert {source.parent, report.parent} == {tmp_path / "new"}
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted([source.name, report.name])
    assert files.file_stem("../../etc/passwd") == "etc_passwd"
    assert files.file_stem(HOSTILE).isascii()
    assert files.file_stem("..") == "kernel"


def test_writing_where_it_is_not_allowed_says_where_and_what_to_do(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(MachineError, match="--out") as error:
        files.check_writable(blocked / "inside")
    assert str(blocked) in str(error.value)


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "kernel.py"
    files.write_atomically(path, "old")

    def full(_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match="No space left"):
        files.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
