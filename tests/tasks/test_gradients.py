"""Tasks whose gradients count: what a call takes and gives, and what the judge is told of it."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from kernelwright.tasks import Task, TaskInfo, host
from kernelwright.tasks.host_backward import differentiated, taken_off
from kernelwright.tasks.host_json import HostError

Both = Callable[..., host.Reference]


def both(model: nn.Module, *inputs: object) -> host.Reference:
    """A module's task with gradients, as the sandboxed side sees it."""
    return host.Reference(Task.from_module(model, inputs).there_and_back.source.model_dump())


class Scaled(nn.Module):
    """Uses a parameter, one that needs no gradient, integers, a float that nothing follows from, and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6))
        self.fixed = nn.Parameter(torch.randn(6), requires_grad=False)

    def forward(
        self, x: torch.Tensor, rows: torch.Tensor, unused: torch.Tensor, factor: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return x[rows] * self.weight * self.fixed * factor, x.argmax(-1)


@pytest.fixture
def scaled() -> host.Reference:
    return both(Scaled(), torch.randn(4, 6), torch.tensor([0, 3, 3]), torch.randn(4), 1.5)


def test_a_call_takes_gradients_of_outputs_and_gives_those_of_inputs_and_parameters(scaled: host.Reference) -> None:
    model = scaled.model(1, "default")
    x, rows, unused, factor, upstream = scaled.draw("default", 1)
    with torch.no_grad():
        y, most, of_x, of_weight = scaled.forward(model, [x, rows, unused, factor, upstream])

    leaf = x.clone().requires_grad_()
    want = leaf[rows] * model.weight * model.fixed * factor
    want.backward(upstream)
    torch.testing.assert_close([y, most, of_x, of_weight], [want.detach(), x.argmax(-1), leaf.grad, model.weight.grad])
    assert upstream.shape == y.shape


def test_the_judge_is_told_what_has_gradients(scaled: host.Reference) -> None:
    info = TaskInfo.model_validate(scaled.describe())
    case, alone = info.cases

    assert (alone.name, alone.role, alone.gradients) == ("default, forward", "tune", None)
    assert (len(case.inputs), len(alone.inputs), len(alone.outputs)) == (5, 4, 2)
    assert case.gradients is not None
    assert case.gradients.model_dump() == {
        "inputs": 4,
        "results": 2,
        "outputs": (0,),
        "of_inputs": (0,),
        "of_parameters": ("weight",),
    }
    assert [output.shape for output in case.outputs] == [(3, 6), (4,), (4, 6), (6,)]
    assert [state.name for state in info.state] == ["weight", "fixed"]


def test_the_arithmetic_of_both_ways_counts() -> None:
    case = TaskInfo.model_validate(both(nn.Linear(8, 16, bias=False), torch.randn(32, 8)).describe()).tune_case

    assert case.flops == 3 * 2 * 32 * 8 * 16
    assert case.read_bytes == 4 * (32 * 8 + 8 * 16 + 32 * 16)
    assert case.written_bytes == 4 * (32 * 16 + 32 * 8 + 8 * 16)


def test_a_module_inside_that_has_hooks_of_its_own_is_described() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.GELU())

    info = TaskInfo.model_validate(both(model, torch.randn(4, 8)).describe())

    assert len(info.tune_case.outputs) == 1 + 1 + 4


def test_the_same_in_float64_and_in_a_copy(scaled: host.Reference) -> None:
    model = scaled.model(1, "default")
    inputs = scaled.draw("default", 1)
    twin = copy.deepcopy(model).double()
    wide = [value.double() if torch.is_tensor(value) and value.is_floating_point() else value for value in inputs]
    with torch.no_grad():
        narrow, exact = scaled.forward(model, inputs), scaled.forward(twin, wide, exact=True)
        model.weight.zero_()
        again = scaled.forward(twin, wide, exact=True)

    for got, want, same in zip(narrow, exact, again, strict=True):
        torch.testing.assert_close(got.double(), want.double())
        assert torch.equal(want, same), "the copy is the first model's no longer"


def test_without_gradients_a_model_is_what_it_was(scaled: host.Reference) -> None:
    model, gradients = Scaled(), scaled.gradients("default")
    assert gradients is not None

    assert taken_off(differentiated(model, gradients)) == gradients
    assert taken_off(model) is None
    assert len(model(torch.randn(4, 6), torch.tensor([0]), torch.randn(4), 1.0)) == 2


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.argmax(-1), "none of its outputs has a gradient"),
        (lambda x: x.add_(1), "in-place"),
    ],
    ids=["integers", "an input that is changed"],
)
def test_what_cannot_be_gone_back_through_is_an_error(
    function: Callable[[torch.Tensor], torch.Tensor], message: str
) -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return function(x)

    with pytest.raises(HostError, match=message):
        both(Model(), torch.randn(4, 6)).describe()


def test_gradients_make_another_task() -> None:
    task = Task.from_module(nn.Linear(8, 8), (torch.randn(4, 8),))

    assert task.there_and_back.id != task.id
    assert task.there_and_back.name == task.name


def test_a_graph_of_both_ways_has_the_gradients_that_come_in_last(scaled: host.Reference) -> None:
    graph = scaled.export("default")

    assert graph is not None, scaled.export_problem
    assert [node["name"] for node in graph["nodes"] if node["op"] == "input"] == ["x", "rows", "unused", "gradient_0"]
    assert [node["target"] for node in graph["nodes"] if node["op"] == "state"] == ["weight", "fixed"]
    assert len(graph["nodes"][-1]["args"]) == 4
