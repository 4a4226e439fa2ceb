"""A reference whose forward changes buffers is taken again with these put back, and made anew where it left more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from textwrap import dedent

import pytest
import torch
from torch import Tensor, nn

from kernelwright.judge.worker import Subject
from kernelwright.judge.worker_host import Host
from kernelwright.judge.worker_values import Kept
from kernelwright.tasks.task import TaskSource


class Stateful(nn.Module):
    """A norm's running mean, and whatever else a forward leaves."""

    def __init__(self, leaves: Callable[[Stateful, Tensor], None]) -> None:
        super().__init__()
        self.leaves, self.steps, self.seen, self.scratch = leaves, 10**6, [], torch.zeros(3)
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("usage", torch.zeros(3))
        self.register_buffer("single", torch.zeros(1))
        self.register_buffer("wide", torch.zeros(1).expand(3))

    def forward(self, x: Tensor) -> Tensor:
        self.get_buffer("mean").mul_(0.9).add_(x.mean(0))
        self.leaves(self, x)
        return x * self.weight


def ran(leaves: Callable[[Stateful, Tensor], None], *also: str) -> tuple[Stateful, bool]:
    """A model that was put back once it had run, and whether that succeeded."""
    model = Stateful(leaves)
    kept = Kept(model, ["mean", *also])
    with torch.no_grad():
        for _ in range(2):
            model(torch.ones(2, 3))
    return model, kept.put_back()


def test_what_is_known_to_change_is_put_back() -> None:
    model, same = ran(lambda _model, _x: None)

    assert same
    assert not model.get_buffer("mean").any()


@pytest.mark.parametrize(
    "leaves",
    [
        pytest.param(lambda model, x: setattr(model, "out", x), id="an attribute"),
        pytest.param(lambda model, x: setattr(model, "scratch", x), id="another tensor"),
        pytest.param(lambda model, _x: setattr(model, "steps", model.steps + 1), id="a number"),
        pytest.param(lambda model, x: model.seen.append(x), id="an element"),
        pytest.param(lambda model, _x: model.usage.add_(1), id="a buffer that the trace has not changed"),
        pytest.param(lambda model, _x: model.weight.mul_(2), id="a parameter"),
    ],
)
def test_a_model_in_which_forward_leaves_more_is_made_anew(leaves: Callable[[Stateful, Tensor], None]) -> None:
    assert not ran(leaves)[1]


@pytest.mark.parametrize("holds", [[torch.zeros(3)], deque([0.0]), [[torch.zeros(3)]], object()], ids=type)
def test_a_model_that_holds_what_nobody_can_look_into_is_made_anew(holds: object) -> None:
    model = Stateful(lambda _model, _x: None)
    model.holds = holds

    assert not Kept(model, ["mean"]).put_back()


def test_so_is_one_of_which_nothing_can_be_put_back() -> None:
    assert not ran(lambda model, _x: model.usage.resize_(5), "usage")[1]
    assert not ran(lambda model, _x: model.single.resize_(5), "single")[1], "it could be spread over five"
    assert not ran(lambda _model, _x: None, "wide")[1], "its elements lie at one place"


TASK = dedent("""
    import torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(64)
            self.out = None

        def forward(self, x):
            self.out = torch.relu(self.norm(x))
            return self.out * 1.0

    def get_inputs():
        return [torch.randn(256, 64)]

    def get_init_inputs():
        return []
    """)


def test_what_forward_has_left_in_the_reference_is_no_part_of_its_state() -> None:
    subject = Subject(lambda: None, Host())
    subject.do_load_task(TaskSource(kind="kernelbench", text=TASK, filename="task.py").model_dump())

    def names() -> list[str]:
        changed = ["norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]
        return [entry["name"] for entry in subject.do_construct(1, "default", changed=changed)["state"]]

    before, model = names(), subject.model
    assert names() == before
    assert subject.model is model, "it is taken again"
    with torch.no_grad():
        model(torch.randn(256, 64))
    assert names() == before
    assert subject.model is not model
