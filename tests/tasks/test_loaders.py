from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from kernelwright.errors import TaskError
from kernelwright.tasks import Task, TaskInfo, host
from kernelwright.tasks.host_sketch import draw, sketch

EXAMPLES = Path(__file__).parents[2] / "examples"
GOOD = "from torch import nn\nclass Model(nn.Module): pass\ndef get_inputs(): return []\n"

Traffic = Callable[[host.Reference], tuple[int, int]]


def reference(task: Task) -> host.Reference:
    return host.Reference(task.source.model_dump(mode="json"))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_described_with_at_least_10_mb(path: Path) -> None:
    task = Task.load(path)
    info = TaskInfo.model_validate(reference(task).describe())
    assert task.name == path.stem
    assert info.tune_case.bytes >= 10_000_000
    assert {case.role for case in info.cases} == {"tune", "check", "held_out"}
    assert len(info.cases) > 2 or path.stem in ("gelu_bias", "layernorm")


@pytest.mark.parametrize(
    ("content", "where", "says"),
    [
        (b"x = (\n", ":1", "syntax error"),
        (b"import torch\nx = 1\n", ":1", "no Model"),
        (b"class Model: pass\n", ":1", "no get_inputs()"),
        (b"# ok\n\xff\n", ":2", "UTF-8"),
        (b"", ":1", "no Model"),
        (b"x = 1\0", ":1", "null bytes"),
        (b"(" * 5000, ":1", "too many nested parentheses"),
    ],
)
def test_wrong_files_are_refused_with_their_line(tmp_path: Path, content: bytes, where: str, says: str) -> None:
    path = tmp_path / "task.py"
    path.write_bytes(content)
    with pytest.raises(TaskError) as refused:
        Task.load(path)
    assert refused.value.where == f"{path}{where}"
    assert says in refused.value.what
    assert refused.value.remedy


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "none.py", tmp_path):
        with pytest.raises(TaskError) as refused:
            Task.load(str(path))
        assert str(path) in refused.value.where


def test_loading_runs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "task.py"
    path.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{GOOD}")
    Task.load(path)
    assert not (tmp_path / "ran").exists()


def test_names_bound_in_other_ways_count(tmp_path: Path) -> None:
    path = tmp_path / "task.py"
    path.write_text(
        "from models import Net as Model\ntry:\n    from inputs import get_inputs\nexcept ImportError: pass\n"
    )
    assert Task.load(path).source.search_path == ()


def test_modules_beside_the_file_can_be_imported(tmp_path: Path, traffic: Traffic) -> None:
    (tmp_path / "my_layers_of_a_test.py").write_text("from torch import nn\nNet = nn.Identity\n")
    path = tmp_path / "task.py"
    path.write_text(
        "from my_layers_of_a_test import Net as Model\nimport torch\ndef get_inputs(): return [torch.rand(2)]\n"
    )
    assert traffic(reference(Task.load(path))) == (0, 0)


def test_the_id_follows_the_content(tmp_path: Path) -> None:
    one, other, changed = (tmp_path / name for name in ("a.py", "b.py", "c.py"))
    one.write_text(GOOD)
    other.write_text(GOOD)
    changed.write_text(GOOD + "#")
    assert Task.load(one).id == Task.load(other).id != Task.load(changed).id
    assert Task.load(one).id != Task.load(one, inputs=("4x4",)).id


def test_inputs_take_the_place_of_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "task.py"
    path.write_text("from torch import nn\nModel = nn.ReLU\n")
    assert reference(Task.load(path, inputs=("3x5",))).draw("default", 0)[0].shape == (3, 5)


@pytest.mark.parametrize(
    "spec", ["torch.nn:ReLU", "torch.nn.functional:relu", "torch:relu", "torch:Tensor.relu"], ids=lambda spec: spec
)
def test_classes_and_functions_are_imported(spec: str, traffic: Traffic) -> None:
    task = Task.load(spec, inputs=("float32[16,16]",))
    loaded = reference(task)
    assert traffic(loaded) == (16 * 16 * 4, 16 * 16 * 4)
    assert loaded.export("default") is not None


@pytest.mark.parametrize(
    ("spec", "says"),
    [("torch.nn:NoSuch", "no NoSuch"), ("torch.no_such:x", "not installed"), ("torch:pi", "is a float")],
)
def test_wrong_imports(spec: str, says: str) -> None:
    with pytest.raises(host.HostError, match=says):
        reference(Task.load(spec, inputs=("4x4",)))
    with pytest.raises(TaskError, match="no module"):
        Task.load("no_such_package_anywhere:f")


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor([2.0]))

    def forward(self, x: torch.Tensor, power: int) -> torch.Tensor:
        return (x * self.factor) ** power


def test_a_live_module_with_its_weights(traffic: Traffic) -> None:
    module = Scaled()
    task = Task.from_module(module, (torch.rand(32, 4), 2))
    loaded = reference(task)
    x, power = loaded.draw("default", 1)
    assert (x.shape, power) == ((32, 4), 2)
    assert torch.equal(loaded.forward(loaded.model(0, "default"), [x, power]), module(x, power))
    assert task.name == "Scaled"
    assert traffic(loaded) == (4 * (128 + 1), 4 * 128)


def test_large_example_inputs_do_not_travel() -> None:
    task = Task.from_module(nn.ReLU(), (torch.rand(1024, 1024),))
    assert len(task.source.text) < 100_000


def test_a_class_of_a_script_travels_by_value(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\nfrom torch import nn\nfrom kernelwright.tasks import Task\n"
        "OFFSET = 3.0\nclass Mine(nn.Module):\n    def forward(self, x): return x + OFFSET\n"
        "print(Task.from_module(Mine(), (torch.rand(4),)).source.model_dump_json())\n"
    )
    output = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout
    import json

    loaded = host.Reference(json.loads(output))
    (x,) = loaded.draw("default", 0)
    assert torch.equal(loaded.forward(loaded.model(0, "default"), [x]), x + 3)


def test_what_cannot_travel_is_refused() -> None:
    module = nn.ReLU()
    module.lock = threading.Lock()  # type: ignore[assignment]
    for wrong in (lambda: Task.from_module(module, ()), lambda: Task.from_module(nn.ReLU(), ([torch.rand(2)],))):
        with pytest.raises(TaskError) as refused:
            wrong()
        assert refused.value.remedy
    with pytest.raises(TaskError, match="is no nn"):
        Task.from_module(len, ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "example",
    [
        torch.rand(64, 32) * 5 + 2,
        torch.randint(3, 9, (100,)),
        torch.rand(16) > 0.5,
        (torch.rand(64) > 0.5).float(),
        torch.randn(8, 8).tril(),
        torch.randn(8, 8).triu(),
        torch.diag(torch.randn(8)),
        torch.randn(8, 4).T,
        torch.zeros(0, 3),
        torch.rand(5).to(torch.bfloat16),
    ],
    ids=["uniform", "int", "bool", "mask", "tril", "triu", "diagonal", "transposed", "empty", "bfloat16"],
)
def test_fresh_inputs_are_like_the_example(example: torch.Tensor) -> None:
    remembered = sketch(example)
    torch.manual_seed(0)
    fresh = draw(remembered)
    assert (fresh.shape, fresh.dtype, fresh.stride()) == (example.shape, example.dtype, example.stride())
    assert set(fresh.flatten().tolist()) <= set(example.flatten().tolist())
    assert not fresh[~(example.bool() | fresh.bool())].any()
    for part in (torch.tril, torch.triu):
        if example.dim() == 2 and torch.equal(part(example), example):
            assert torch.equal(part(fresh), fresh)


def test_symmetric_and_constant_examples() -> None:
    square = torch.randn(6, 6)
    fresh = draw(sketch(square + square.T))
    assert torch.equal(fresh, fresh.T)
    torch.manual_seed(0)
    assert draw(sketch(torch.ones(64))).unique().numel() > 10
    assert draw(sketch(torch.zeros(64))).unique().numel() > 10


def test_the_id_is_that_of_the_code_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from helper_of_a_test import scale\ndef scaled(x):\n    return scale(x)\n"
    ids = []
    for folder, factor in (("a", 2), ("b", 2), ("c", 3)):
        place = tmp_path / folder
        place.mkdir()
        (place / "tasks_of_a_test.py").write_text(text)
        (place / "helper_of_a_test.py").write_text(f"def scale(x):\n    return {factor} * x\n")
        monkeypatch.chdir(place)
        ids.append(Task.load("tasks_of_a_test:scaled", inputs=("4x4",)).id)
    assert ids[0] == ids[1] != ids[2]


def test_the_id_changes_with_what_a_file_imports_from_beside_it(tmp_path: Path) -> None:
    path, helper = tmp_path / "task.py", tmp_path / "more_of_a_test.py"
    path.write_text("import more_of_a_test\nclass Model: ...\ndef get_inputs(): return []\n")
    helper.write_text("WIDTH = 1\n")
    before = Task.load(path).id
    helper.write_text("WIDTH = 2\n")
    assert Task.load(path).id != before


def test_the_reference_that_proposers_see_has_no_cases(tmp_path: Path) -> None:
    path = tmp_path / "task.py"
    path.write_text(
        "class Model: ...\ndef get_inputs(): return []\ndef get_cases():\n    return [{'name': 'secret'}]\nWIDTH = 1\n"
    )
    assert Task.load(path).reference == "class Model: ...\ndef get_inputs(): return []\nWIDTH = 1\n"
