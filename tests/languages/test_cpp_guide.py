from __future__ import annotations

import ast
import re

import pytest
from language_worker import in_worker, load

from kernelwright.languages.cpp import Cpp


def example():
    return re.search(r"```python\n(.*?)```", Cpp().guide(), re.DOTALL)[1]


def test_the_example_passes_inspection_and_declares_its_parameters():
    report = Cpp().inspect(example())
    assert (report.problem, report.kernels, report.library_calls) == ("", ("rms_norm",), ())
    literals = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(example()).body
        if isinstance(node, ast.Assign) and node.targets[0].id in ("PARAMS", "SPACE")
    }
    assert all(value in literals["SPACE"][name] for name, value in literals["PARAMS"].items())


@pytest.mark.parametrize("parameters", ['{"UNROLL": 4, "STREAM": 1}', '{"UNROLL": 1, "STREAM": 0}'])
def test_the_example_builds_and_is_right(tmp_path, parameters):
    source = example().replace('{"UNROLL": 4, "STREAM": 1}', parameters, 1)
    kind, worst = in_worker(worst_error, source, str(tmp_path))
    assert kind == "result", worst
    assert worst < 1e-5


def worst_error(source, folder):
    import torch

    model_class = load(source, folder, False)["ModelNew"]
    worst = 0.0
    for rows, features in [(3, 64), (5, 37), (1, 1), (0, 8), (64, 1000)]:
        x = torch.randn(rows, features)
        model = model_class(features, 1e-6)
        with torch.no_grad():
            model.weight.uniform_(0.5, 2)
            exact = torch.nn.functional.rms_norm(x.double(), (features,), model.weight.double(), 1e-6)
            worst = max(worst, (model(x) - exact).abs().max().item() if rows else 0.0)
    return worst
