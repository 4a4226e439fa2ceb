"""The suite's arithmetic, its page, and that an interrupted suite goes on."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from cli_helpers import DEVICE
from typer.testing import CliRunner

SUITE = Path(__file__).parents[2] / "benchmarks" / "cpu_suite.py"


@pytest.fixture
def suite(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("cpu_suite", SUITE)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.syspath_prepend(SUITE.parent)
    monkeypatch.setitem(sys.modules, "cpu_suite", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "STATE", tmp_path / "build" / "state.json")
    monkeypatch.setattr(module, "TASKS", tmp_path)
    monkeypatch.setattr(module, "facts", lambda _: {"date": "2026-01-02"})
    for name in ("gelu", "relu", "softmax"):
        (tmp_path / f"{name}.py").write_text("")
    return module


def make_row(suite, task="gelu", speedup=4.0, **more):
    times = {"eager_us": 8000.0, "compile_us": 4000.0, "best_us": 8000.0 / speedup}
    numbers = {"speedup": speedup, "speedup_ci": (speedup - 0.1, speedup + 0.1), "over_compile": speedup / 2}
    return suite.Row(task, "faster", **times, **numbers, floor_share=0.8, **more)


def test_means_are_geometric_and_count_tasks_without_a_kernel(suite):
    rows = [make_row(suite, speedup=2.0), make_row(suite, speedup=8.0), suite.Row("x", "no_kernel")]
    summary = suite.summarise(rows)
    assert (summary.tasks, summary.accepted) == (3, 2)
    assert summary.speedup == pytest.approx(4.0)
    assert summary.over_compile == pytest.approx(2.0)
    assert summary.median_floor_share == 0.8
    assert suite.summarise([]).speedup is None


def test_page_has_a_line_for_each_task_and_says_how_it_was_made(suite):
    where = {"date": "2026-01-02", "command": "python suite", "device": DEVICE, "versions": {"torch": "2.13.0"}}
    rows = [make_row(suite), suite.Row("odd", "error", problem="it does not load")]
    page = suite.markdown(rows, suite.summarise(rows), where)
    assert "`python suite`" in page
    assert "| gelu | 8.00 ms | 4.00 ms | 2.00 ms | 4.00× | 3.90–4.10 | 2.00× | 80 % | faster |" in page
    assert "- odd: it does not load" in page


def test_interrupted_suite_goes_on_with_what_is_missing(suite, monkeypatch):
    measured = []

    def measure(path, _budget):
        if path.stem == "softmax" and len(measured) == 2:
            measured.append("interrupted")
            raise KeyboardInterrupt
        measured.append(path.stem)
        return make_row(suite, path.stem)

    monkeypatch.setattr(suite, "measure", measure)
    first = CliRunner().invoke(suite.app, [])
    assert first.exit_code == 130
    assert "--resume" in first.stderr
    second = CliRunner().invoke(suite.app, ["--resume", "--json"])
    assert second.exit_code == 0
    assert measured == ["gelu", "relu", "interrupted", "softmax"]
    assert [row["task"] for row in json.loads(second.stdout)["rows"]] == ["gelu", "relu", "softmax"]


def test_tasks_are_chosen_by_pattern(suite, monkeypatch):
    monkeypatch.setattr(suite, "measure", lambda path, _: make_row(suite, path.stem))
    chosen = CliRunner().invoke(suite.app, ["--tasks", "*elu", "--json"])
    assert [row["task"] for row in json.loads(chosen.stdout)["rows"]] == ["gelu", "relu"]
    assert CliRunner().invoke(suite.app, ["--tasks", "nothing"]).exit_code != 0
