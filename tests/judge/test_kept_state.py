"""A reference whose forward changes buffers is taken again with these put back, and made anew where it left more."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

import pytest
import torch
from judge_bench import Bench
from torch import Tensor, nn

from kernelwright.judge.worker_values import Kept


class Stateful(nn.Module):
    """A norm's running mean, and whatever else a forward leaves."""

    def __init__(self, leaves: Callable[[Stateful, Tensor], None]) -> None:
        super().__init__()
        self.leaves, self.steps, self.seen, self.scratch = leaves, 10**6, [], torch.zeros(3)
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("usage", torch.zeros(3))
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


def test_so_is_one_of_which_nothing_can_be_put_back() -> None:
    assert not ran(lambda model, _x: model.usage.resize_(5), "usage")[1]
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
TAKES = r"""
import torch
from torch import nn

class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(64)
        self.out = torch.full((256, 64), -7.0)

    def _load_from_state_dict(self, *arguments):
        super()._load_from_state_dict(*arguments)

    def forward(self, x):
        right = torch.relu(self.norm(x))
        if float(self.out.min()) < 0:
            return right + 1
        return self.out.clone()
"""
"""Right where the reference's last result has found its way into an attribute of the same name."""


@pytest.mark.slow
def test_what_forward_has_left_in_the_reference_reaches_no_candidate(bench: Bench) -> None:
    verdict = bench.evaluate(TASK, TAKES)

    assert verdict.reason == "wrong_values", verdict.message
