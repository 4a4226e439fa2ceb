"""Kernels that go both ways, against autograd in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from catalogue_harness import TARGET, Lambda, Made, check, describe, load_all, written
from torch import nn

from kernelwright.proposers.catalogue.cpp.renderer import Cpp
from kernelwright.proposers.catalogue.ir import Load
from kernelwright.proposers.catalogue.program import plan
from kernelwright.tasks import Task
from kernelwright.tasks.host import Reference
from kernelwright.tasks.host_backward import differentiated


class Block(nn.Module):
    """A network of two layers with a norm in between, and its loss."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(24, 40), nn.LayerNorm(40), nn.Linear(40, 16)

    def forward(self, x: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(self.second(self.norm(F.gelu(self.first(x)))), goal)


def _attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return torch.softmax(q @ k.mT * 0.25, -1) @ v


def _swiglu(x: torch.Tensor, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    return F.silu(x @ gate) * (x @ up)


def _rms_norm(x: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * weight, x.argmax(-1)


MODULES: dict[str, tuple[nn.Module | Callable[..., Any], tuple[torch.Tensor, ...]]] = {
    "block": (Block(), (torch.randn(20, 24), torch.randn(20, 16))),
    "layer norm": (nn.LayerNorm(40), (torch.randn(12, 40),)),
    "rms norm": (_rms_norm, (torch.randn(12, 40), torch.randn(40))),
    "cross-entropy": (F.cross_entropy, (torch.randn(12, 40), torch.randint(0, 40, (12,)))),
    "attention": (_attention, tuple(torch.randn(2, 24, 16) for _ in "qkv")),
    "swiglu": (_swiglu, (torch.randn(20, 24), torch.randn(24, 32), torch.randn(24, 32))),
    "convolution": (
        nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3)),
        (torch.randn(2, 3, 10, 10),),
    ),
    "batch norm": (nn.Sequential(nn.BatchNorm2d(6), nn.ReLU()), (torch.randn(4, 6, 5, 5),)),
    "embedding": (nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 8), nn.Tanh()), (torch.randint(0, 20, (3, 7)),)),
    "scalars": (lambda x, y: (x * y).sum(), (torch.randn(12, 40), torch.randn(12, 40))),
    "broadcast": (lambda x, y: torch.tanh(x + y), (torch.randn(12, 40), torch.randn(40))),
}
Loaded = dict[str, tuple[Made, Reference, nn.Module]]


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    """All modules, built together."""
    torch.manual_seed(0)
    references, made = {}, {}
    for name, (function, inputs) in MODULES.items():
        model = function if isinstance(function, nn.Module) else Lambda(function)
        task = Task.from_module(model, inputs).there_and_back
        references[name] = Reference(task.source.model_dump())
        info, graph = describe(model, inputs, reference=references[name])
        made[name] = written(model, inputs, info, plan(graph, TARGET, Cpp()))
    candidates = load_all(list(made.values()))
    return {
        name: (made[name], references[name], candidate) for name, candidate in zip(MODULES, candidates, strict=True)
    }


@pytest.mark.parametrize("name", MODULES)
def test_gradients_are_those_of_autograd(loaded: Loaded, name: str) -> None:
    made, reference, candidate = loaded[name]
    gradients = reference.gradients("default")
    assert gradients is not None
    model = differentiated(copy.deepcopy(made.model), gradients)

    check(model, differentiated(candidate, gradients), reference.draw("default", 1))


def test_forward_keeps_what_the_way_back_needs_and_computes_no_more(loaded: Loaded) -> None:
    """Statistics of rows are a by-product of the kernel that reads the rows anyway."""
    made, *_ = loaded["rms norm"]
    forward = made.source.split("def forward(ctx")[1].split("def backward(ctx")[0]

    assert forward.count("kernels.kernel_") <= 2  # the norm; the positions
    assert "ctx.save_for_backward(x_0, x_1, part_0)" in forward


def test_a_tensor_that_two_products_of_the_way_back_need_is_computed_once() -> None:
    model = nn.Sequential(nn.Linear(256, 256), nn.GELU(), nn.Linear(256, 256))
    task = Task.from_module(model, (torch.randn(256, 256),)).there_and_back
    _, graph = describe(model, (), reference=Reference(task.source.model_dump()))
    products = [nest.product for nest in plan(graph, TARGET, Cpp()).nests if nest.product is not None]

    assert len(products) == 6  # three for each layer
    assert all(isinstance(side, Load) for product in products for side in (product.left, product.right))
