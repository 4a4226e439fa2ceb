"""`import kernelwright` as a library, without a search."""

from __future__ import annotations

import asyncio

import pytest
from cli_helpers import TASK

import kernelwright
from kernelwright import api, choices
from kernelwright.profile import diagnosis
from kernelwright.report.module import build
from kernelwright.search.result import INTERRUPTED
from kernelwright.tasks import TaskInfo


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("60", 60), (90, 90), (1.5, 1.5), ("5m", 300), ("2 min", 120), ("1.5h", 5400)]
)
def test_budgets(text, seconds):
    assert choices.parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5s", "0", "0m", "5 s s", "1e3s", "nan", float("inf"), -1])
def test_budgets_that_are_no_time(text):
    with pytest.raises(kernelwright.UsageError, match="60s"):
        choices.parse_budget(text)


def test_a_target_says_what_candidates_are_written_in():
    assert choices.settings().language == "cpp"
    assert choices.settings(target="cuda").language == "triton"
    assert choices.settings(target="cuda", language="cpp").language == "cpp"
    assert api.guide(target="cuda") == api.guide("triton") != api.guide() == api.guide("cpp")
    with pytest.raises(kernelwright.UsageError, match="'tpu' among the targets"):
        choices.settings(target="tpu")


def test_live_module_needs_its_inputs(home):
    import torch

    with pytest.raises(kernelwright.UsageError, match="example_inputs"):
        kernelwright.optimize(torch.nn.ReLU())


def test_only_input_needs_no_tuple(home, monkeypatch):
    import torch

    seen = []
    monkeypatch.setattr(api, "search", lambda task, *_, **__: seen.append(task) or pytest.skip("reached the search"))
    with pytest.raises(pytest.skip.Exception):
        kernelwright.optimize(torch.nn.ReLU(), torch.zeros(4, 5))
    assert seen[0].source.kind == "pickle"


def test_interrupted_search_raises_keyboard_interrupt_with_the_run(home, monkeypatch):
    class Found:
        run, stopped = "relu-3f2a", INTERRUPTED

    async def search(*_, **__):
        return Found

    monkeypatch.setattr(api, "search", search)
    with pytest.raises(KeyboardInterrupt, match="relu-3f2a"):
        kernelwright.optimize("task.py")


def test_works_inside_a_running_loop_as_notebooks_have(home, monkeypatch):
    async def search(*_, **__):
        raise kernelwright.TaskError("reached the search")

    monkeypatch.setattr(api, "search", search)

    async def cell():
        kernelwright.optimize("task.py")

    with pytest.raises(kernelwright.TaskError, match="reached"):
        asyncio.run(cell())


def test_source_may_be_text_or_a_file(home, tmp_path):
    (tmp_path / "kernel.py").write_text(TASK)
    assert (
        choices.read_source("kernel.py")
        == choices.read_source(tmp_path / "kernel.py")
        == choices.read_source(TASK)
        == TASK
    )
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(kernelwright.UsageError, match="UTF-8"):
        choices.read_source("binary.py")


def test_an_evaluation_draws_no_diagnosis(judging, tmp_path, monkeypatch):
    def diagnose(*_):
        raise AssertionError("nobody asked for it")

    monkeypatch.setattr(diagnosis, "diagnose", diagnose)
    library = "import torch\n\n\nclass ModelNew(torch.nn.Module):\n    def forward(self, x):\n        return x\n"
    assert not api.evaluate(tmp_path / "task.py", library).accepted
    with pytest.raises(AssertionError, match="nobody asked"):
        api.profile(tmp_path / "task.py", library)


def test_kernel_gets_the_weights_of_the_module_by_name_then_by_order():
    import torch

    source = """
import torch
from torch import nn

class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(features))
        self.renamed = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("spread", torch.zeros(features))
"""
    reference = torch.nn.BatchNorm1d(3).eval()
    with torch.no_grad():
        for number, name in enumerate(("weight", "bias", "running_mean", "running_var")):
            getattr(reference, name).fill_(number + 1)
    kernel = build(source, TaskInfo(init_inputs=[3], cases=(), state=()), reference)
    values = [kernel.weight, kernel.renamed, kernel.running_mean, kernel.spread]
    assert [value[0].item() for value in values] == [1, 2, 3, 4]
    assert not kernel.training
