"""`kernelwright knowledge`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kernelwright.cli import app
from kernelwright.errors import EXIT_OK, EXIT_USAGE
from kernelwright.knowledge import open_library, win


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["knowledge", *map(str, arguments)])


def test_a_document_is_added_listed_found_and_removed(write, tmp_path: Path) -> None:
    path = write("Our tensors", "# Shapes\n\nRows have 4096 [bold]elements[/bold].", folder=tmp_path)
    assert invoke("add", path).stdout == "added  Our-tensors\n"
    assert "Our-tensors" in invoke("list").stdout
    shown = invoke("search", "rows", "4096").stdout
    assert "[bold]elements[/bold]" in shown, "never read as markup"
    assert invoke("show", "Our-tensors").stdout.endswith("# Shapes\n\nRows have 4096 [bold]elements[/bold].\n")
    assert invoke("remove", "Our-tensors").stdout == "removed  Our-tensors\n"
    assert "Our-tensors" not in invoke("list").stdout


def test_json_is_one_value(write, tmp_path: Path) -> None:
    path = write("mine", "# Shapes\n\nRows of 4096.", folder=tmp_path, languages="[cpp]")
    assert json.loads(invoke("add", path, "--json").stdout) == ["mine"]
    listed = json.loads(invoke("list", "--language", "cpp", "--json").stdout)
    (mine,) = [each for each in listed if each["name"] == "mine"]
    assert (mine["kind"], mine["languages"], mine["source"]) == ("guidance", ["cpp"], None)
    assert "mine" not in [each["name"] for each in json.loads(invoke("list", "--language", "triton", "--json").stdout)]
    found = json.loads(invoke("search", "4096", "--limit", "1", "--json").stdout)
    assert (found[0]["name"], found[0]["heading"], found[0]["text"]) == ("mine", "Shapes", "Rows of 4096.")
    shown = json.loads(invoke("show", "mine", "--json").stdout)
    assert (shown["name"], shown["languages"], shown["text"]) == ("mine", ["cpp"], "# Shapes\n\nRows of 4096.")
    assert json.loads(invoke("remove", "mine", "--json").stdout) == "mine"


def test_a_lesson_is_noted_as_a_claim(tmp_path: Path) -> None:
    task = tmp_path / "rows.py"
    task.write_text("from torch import nn\n\n\nclass Model(nn.Module): ...\n\n\ndef get_inputs(): ...\n")
    given = ("note", "Rows of 512", "# Two rows at a time: 1.3 times as fast.", "--task", task, "--json")
    noted = json.loads(invoke(*given).stdout)
    assert noted["new"]
    assert json.loads(invoke(*given).stdout) == {**noted, "new": False}
    sections = json.loads(invoke("search", "rows", "of", "512", "--limit", "20", "--json").stdout)
    (found,) = [each for each in sections if each["kind"] == "lesson"]
    assert found["text"].startswith("Noted by shell about rows. Nobody has checked it")
    assert "> # Two rows" in found["text"]
    for wrong in ((), ("--task", "no.py"), ("--run", "none"), ("--task", task, "--run", "none")):
        result = invoke("note", "title", "text", *wrong)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (EXIT_USAGE, "", 1)


def test_what_others_outdo_is_pruned() -> None:
    for speedup in (2.0, 4.0, 3.0):
        document = win(
            run="r", task="t", candidate=f"{int(speedup)}", language="cpp", target="cpu", operations=["mul"],
            speedup=speedup, floor_share=None, note="", params=None, source="",
        )  # fmt: skip
        open_library().learn(document)
    assert json.loads(invoke("prune", "--keep", "2", "--json").stdout) == ["win-2"]
    assert invoke("prune", "--keep", "1").stdout == "removed  win-3\n"
    assert invoke("prune").stdout == "nothing is outdone\n"


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], "Missing command"),
        (["add", "missing.md"], "missing.md"),
        (["add", f"{'long' * 100}.md"], "there is no such file"),
        (["add", "bad.md"], "bad.md:3: `kind`"),
        (["remove", "../bad"], "no document"),
        (["remove", "cpp/exp"], "not one of yours"),
        (["search"], "WORDS"),
    ],
)
def test_wrong_usage_is_one_line(
    write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments, wanted: str
) -> None:
    write("bad", folder=tmp_path, kind="opinion")
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (EXIT_USAGE, "")
    assert result.stderr.count("\n") == 1
    assert wanted in result.stderr


def test_nothing_found_is_said() -> None:
    result = invoke("search", "xyzzy")
    assert result.exit_code == EXIT_OK
    assert "nothing fits" in result.stdout


def test_without_bm25s_all_but_the_search_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bm25s", None)
    assert invoke("list").exit_code == EXIT_OK
    result = invoke("search", "softmax")
    assert result.exit_code == EXIT_USAGE
    assert "pip install 'kernelwright[llm]'" in result.stderr


def test_the_library_is_imported_without_torch_and_bm25s() -> None:
    code = "import kernelwright.knowledge, sys; print([n for n in ('torch', 'numpy', 'bm25s') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
