"""How the benchmark over KernelBench shrinks files, what its rows say, and that it goes on."""

from __future__ import annotations

import importlib.util
import json
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from cli_helpers import DEVICE
from typer.testing import CliRunner

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kernelbench_cpu.py"
TEXT = """\
batch_size = 64
features, width = 1024 * 4, 3
shape = (32, 500)
groups = 8

def get_inputs():
    return [torch.rand(batch_size, features, width, *shape)]

def get_init_inputs():
    return [features, groups]
"""


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    spec = importlib.util.spec_from_file_location("kernelbench_cpu", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "kernelbench_cpu", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "STATE", tmp_path / "build" / "state.json")
    monkeypatch.setattr(module, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(module, "OUT", tmp_path / "out")
    where = {"date": "2026-01-02", "command": "python bench", "device": DEVICE, "versions": {"torch": "2.13.0"}}
    monkeypatch.setattr(module, "facts", lambda *_: where)
    monkeypatch.setattr(module, "ZygotePart", no_zygote)
    for name in ("level1/2_b", "level1/10_a", "level2/23_c", "level3/1_d"):
        path = tmp_path / "checkout" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TEXT)
    return module


def no_zygote():
    zygote = nullcontext()
    zygote.start = zygote.close = zygote.release = lambda: None
    return zygote


def size(text):
    scope = {}
    exec(text.partition("def get_inputs")[0], scope)
    return scope["batch_size"] * scope["features"] * scope["width"] * scope["shape"][0] * scope["shape"][1]


def test_the_batch_shrinks_first_and_only_as_far_as_needed(bench):
    text, changes = bench.shrink.shrunk(TEXT, lambda text: size(text) / size(TEXT) * 5)
    assert changes == "batch_size 64→8"
    assert "features, width = 1024 * 4, 3" in text


def test_then_the_largest_dimension_by_halves(bench):
    _, changes = bench.shrink.shrunk(TEXT, lambda text: size(text) / size(TEXT) * 300)
    assert changes == "batch_size 64→1, features 4096→512"


def test_what_does_not_load_when_smaller_is_left_as_it_is(bench):
    def excess(text):
        return size(text) / size(TEXT) * 300 if "1024 * 4" in text and "batch_size = 64" in text else None

    _, changes = bench.shrink.shrunk(TEXT, excess)
    assert changes == "shape[0] 32→4, shape[1] 500→7"


def test_layers_shrink_where_inputs_are_not_what_is_large(bench):
    text = """
batch_size, features = 4, 16
widths = [512, 256]

def get_inputs():
    return [torch.rand(batch_size, features)]

def get_init_inputs():
    return [features, widths]
"""

    def excess(text):
        scope = {}
        exec(text.partition("def get_inputs")[0], scope)
        return (scope["features"] * scope["widths"][0] + scope["widths"][0] * scope["widths"][1]) / 20_000

    assert bench.shrink.shrunk(text, excess)[1] == "widths[0] 512→128, widths[1] 256→128"
    assert bench.shrink.shrunk(text, lambda _: 0.5) == (text, "")


def test_constants_that_must_stay_equal_shrink_together(bench):
    text = "batch_size = 64\nshape = (64,)\n\ndef get_inputs():\n    return [batch_size, *shape]\n"

    def excess(text):
        scope = {}
        exec(text.partition("def get_inputs")[0], scope)
        batch, (width,) = scope["batch_size"], scope["shape"]
        return batch * width / 400 if batch == width else None

    assert bench.shrink.shrunk(text, excess)[1] == "batch_size 64→16, shape[0] 64→16"


def test_what_is_small_by_its_sizes_shrinks_by_the_next_measure(bench):
    def times(factor):
        def excess(text):
            scope = {}
            exec(text.partition("def get_inputs")[0], scope)
            return factor * scope["batch_size"]

        return excess

    text = "batch_size = 64\n\ndef get_inputs():\n    return [batch_size]\n"

    assert bench.shrink.shrunk(text, times(1 / 32))[1] == "batch_size 64→32"
    assert bench.shrink.shrunk(text, times(1 / 32), times(1 / 4))[1] == "batch_size 64→4"
    assert bench.shrink.shrunk(text, times(1 / 32), times(float("inf")))[1] == "batch_size 64→32"


def test_small_files_stay_what_they_are(bench):
    assert bench.shrink.shrunk(TEXT, lambda _: 0.5) == (TEXT, "")


def test_one_file_that_fails_does_not_end_the_suite(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "asked", lambda *_: 0.1)

    def fail(path, **_):
        raise RuntimeError(f"no luck with {path.name}")

    monkeypatch.setattr(bench.kernelwright, "optimize", fail)
    done = CliRunner().invoke(bench.app, [str(tmp_path / "checkout"), "--json", "--docs"])
    assert done.exit_code == 0
    rows = json.loads(done.stdout)["rows"]
    assert [row["task"] for row in rows] == ["level1/2_b", "level1/10_a", "level2/23_c"]
    assert {row["outcome"] for row in rows} == {"error"}
    assert "zeros" in rows[2]["unfair"]
    assert "- level1/2_b: RuntimeError: no luck with 2_b.py" in (tmp_path / "docs" / "kernelbench_cpu.md").read_text()


def test_an_interrupted_suite_goes_on_with_the_files_that_are_missing(bench, tmp_path, monkeypatch):
    measured = []

    def measure(_zygote, file, _budget):
        if file.stem == "10_a" and len(measured) == 1:
            measured.append("interrupted")
            raise KeyboardInterrupt
        measured.append(file.stem)
        return bench.Row(bench.name_of(file), "faster", speedup=2.0, library=("aten.mm.default",), coverage=0.4)

    monkeypatch.setattr(bench, "measure", measure)
    arguments = [str(tmp_path / "checkout"), "--only", "level1/*"]
    assert CliRunner().invoke(bench.app, arguments).exit_code == 130
    second = CliRunner().invoke(bench.app, [*arguments, "--resume"])
    assert second.exit_code == 0
    assert measured == ["2_b", "interrupted", "10_a"]
    assert "2 of 2 tasks end with an accepted kernel" in second.stdout
    assert "aten.mm.default" in second.stdout
