from __future__ import annotations

import ast
import asyncio
import re
from types import SimpleNamespace

import pytest
import torch
from compile_worker import captured, in_process
from torch import nn

from kernelwright.languages.cpp import Cpp
from kernelwright.proposers.compiler import Compiler


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(33) + 0.5)
        self.register_buffer("shift", torch.randn(33))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight + self.shift


class Everything(nn.Module):
    """Nested names, state that changes, a tensor that is no state, results of several kinds, arguments in a list."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4))
        self.scales = nn.ParameterList([torch.rand(4), torch.rand(4)])
        self.tied = self.scales[1]
        self.table = torch.arange(4.0)

    def forward(self, xs, scale, negate=False):
        y = self.layers(xs[0] + xs[1]) * scale * self.scales[0] + self.table * self.tied
        return (-y if negate else y), {"transposed": y.T, "first": xs[0]}, [None, 3]


class Random(nn.Module):
    def forward(self, x):
        return torch.nn.functional.dropout(x, 0.5, training=True)


class Broken(nn.Module):
    def forward(self, x):
        y = (x + 1).sum()
        if y.item() > 0:
            return x * 2
        return x * 3


class LargeConstant(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.randn(5000)

    def forward(self, x):
        return x + self.table


@pytest.fixture
def headers(shared_home):
    """Those that a judge has precompiled before, if one has."""
    return str(Cpp().shared())


@pytest.mark.slow
def test_a_task_becomes_a_standalone_candidate(tmp_path, headers):
    answer = in_process(captured, Norm, str(tmp_path), headers, [(True, [(5, 33)]), (False, [(6, 33)])])
    assert isinstance(answer, dict), answer
    first, second = answer["results"]
    assert first < 1e-6
    assert second[0] == "ValueError"
    assert "not compiled for" in second[1]
    text = answer["text"]
    assert str(tmp_path) not in text
    assert "get_args" not in text
    modules = {
        name
        for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }  # fmt: skip
    assert {name.split(".")[0] for name in modules} <= {"torch", "math", "cmath"}
    report = Cpp().inspect(text)
    assert (report.problem, report.library_calls) == ("", ())
    assert len(report.kernels) == 1


@pytest.mark.slow
def test_state_structure_and_constants_survive(tmp_path, headers):
    answer = in_process(
        captured,
        Everything,
        str(tmp_path),
        headers,
        [(True, [[(6, 8), (6, 8)], 2.0]), (False, [[(6, 8), (6, 8)], 3.0])],
    )
    assert isinstance(answer, dict), answer
    assert answer["unchanged"], "the capture changed the task's own model"
    assert answer["results"][0] < 1e-5
    assert answer["results"][1][0] == "ValueError", "another plain value must not be answered with the captured one"


@pytest.mark.slow
def test_several_cases_dispatch_and_other_shapes_have_a_graph_of_their_own(tmp_path, headers):
    shapes = [(True, [(5, 33)]), (True, [(7, 33)]), (False, [(12, 33)]), (False, [(1, 33)])]
    answer = in_process(captured, Norm, str(tmp_path), headers, shapes)
    assert isinstance(answer, dict), answer
    assert all(error < 1e-6 for error in answer["results"]), answer["results"]
    again = in_process(captured, Norm, str(tmp_path), headers, shapes)
    assert again["text"] == answer["text"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "reason"),
    [(Random, "random"), (Broken, "no single graph"), (LargeConstant, "neither a parameter nor a buffer")],
)
def test_what_cannot_stand_alone_is_refused_with_the_reason(tmp_path, headers, build, reason):
    name, text = in_process(captured, build, str(tmp_path), headers, [(True, [(5000,)])])
    assert name == "NotCaptured"
    assert reason in text


def propose(source, language="cpp", times=1):
    async def compiled():
        return source

    async def collect():
        compiler = Compiler()
        context = SimpleNamespace(language=language, compiled=compiled)

        async def once():
            return [candidate async for candidate in compiler.propose(context)]

        return [await once() for _ in range(times)]

    return asyncio.run(collect())


def test_the_proposer_has_one_candidate_a_run():
    (first,), second = propose("class ModelNew: ...", times=2)
    assert (first.language, first.proposer, first.source) == ("cpp", "compiler", "class ModelNew: ...")
    assert re.search("torch.compile", first.note)
    assert second == []


def test_the_proposer_has_none_where_nothing_was_captured_or_the_language_differs():
    assert propose(None) == [[]]
    assert propose("class ModelNew: ...", language="triton") == [[]]
