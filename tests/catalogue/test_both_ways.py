"""Kernels that go both ways, against autograd in float64."""

from __future__ import annotations

import pytest
import torch
from catalogue_both_ways import MODULES, BothWays, both_ways
from catalogue_harness import TARGET, Made, load_all, written
from torch import nn

from kernelwright.proposers.catalogue.cpp.renderer import Cpp
from kernelwright.proposers.catalogue.ir import Load
from kernelwright.proposers.catalogue.program import plan
from kernelwright.tasks import Task
from kernelwright.tasks.host import Reference

Loaded = dict[str, tuple[BothWays, Made, nn.Module]]


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    """All modules, built together."""
    torch.manual_seed(0)
    both = {name: both_ways(*module) for name, module in MODULES.items()}
    made = [written(each.model, each.inputs, each.info, plan(each.graph, TARGET, Cpp())) for each in both.values()]
    candidates = load_all(made)
    return {name: each for name, *each in zip(both, both.values(), made, candidates, strict=True)}  # type: ignore[misc]


@pytest.mark.parametrize("name", MODULES)
def test_gradients_are_those_of_autograd(loaded: Loaded, name: str) -> None:
    both, _, candidate = loaded[name]

    both.check(candidate)


def test_forward_keeps_what_the_way_back_needs_and_computes_no_more(loaded: Loaded) -> None:
    """Statistics of rows are a by-product of the kernel that reads the rows anyway."""
    _, made, _ = loaded["rms norm"]
    forward = made.source.split("def forward(_ctx")[1].split("def backward(_ctx")[0]

    assert forward.count("kernels.kernel_") <= 2  # the norm; the positions
    assert "_ctx.save_for_backward(x_0, x_1, part_0)" in forward


@pytest.mark.parametrize("name", ["layer norm", "cross-entropy", "batch norm"])
def test_whole_operations_are_kernels_on_both_ways(loaded: Loaded, name: str) -> None:
    _, made, _ = loaded[name]

    assert not [call.target for call in made.program.calls if "add" not in call.target]  # a counter of batches


def test_a_tensor_that_two_products_of_the_way_back_need_is_computed_once() -> None:
    model = nn.Sequential(nn.Linear(256, 256), nn.GELU(), nn.Linear(256, 256))
    both = both_ways(model, (torch.randn(256, 256),))
    products = [nest.product for nest in plan(both.graph, TARGET, Cpp()).nests if nest.product is not None]

    assert len(products) == 6  # three for each layer
    assert all(isinstance(side, Load) for product in products for side in (product.left, product.right))


def test_kernels_of_both_ways_refuse_sizes_that_they_were_not_made_for(loaded: Loaded) -> None:
    """What autograd does is traced with the numbers of elements in it."""
    _, _, candidate = loaded["scalars"]

    with pytest.raises(ValueError, match="made for other shapes"):
        candidate(torch.randn(20, 40), torch.randn(20, 40))


def test_a_buffer_that_is_another_afterwards_has_no_graph() -> None:
    class Replaced(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("last", torch.zeros(6))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.last = x.detach().mean(0)
            return x * 2

    task = Task.from_module(Replaced(), (torch.randn(4, 6),)).there_and_back
    reference = Reference(task.source.model_dump())

    assert reference.export("default") is None
    assert "another tensor in the place of last" in reference.export_problem
