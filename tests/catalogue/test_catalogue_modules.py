"""Whole modules through the catalogue, against torch in float64."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from unittest import mock

import catalogue_modules
import catalogue_positions
import pytest
import torch
import torch.nn.functional as F
from catalogue_harness import TARGET, Lambda, Made, check, describe, load_all, make
from torch import nn

from kernelwright.proposers.base import Candidate
from kernelwright.proposers.catalogue import Catalogue
from kernelwright.proposers.catalogue.cpp.renderer import MANY
from kernelwright.tasks import Graph, TaskInfo

Loaded = dict[str, tuple[Made, nn.Module]]


def _reduced_twice(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    most = x.amax(0, keepdim=True)
    return torch.sigmoid(x) + most.amax(1, keepdim=True), most.sum(1, keepdim=True)


def _pooled(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    overlapping = F.avg_pool2d(F.max_pool2d(torch.relu(x), 3, 2, 1), 2, ceil_mode=True)
    return overlapping, F.interpolate(F.pad(x, (1, 2, 0, 3), value=2.0), scale_factor=2)


def _shifted(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    exclusive = torch.cat((torch.zeros_like(x[:, :1]), x[:, :-1].cumsum(1)), 1)
    return exclusive, x[:, 2:-1] - x[:, 1:-2], x[1:, -3] + x[:-1, 0], torch.cat((x, x.flip(1)[:, ::2]), 1)


def _mirrored(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    around = F.pad(x, (2, 1, 1, 3), mode="reflect") * 2, F.pad(x, (1, 1, 2, 2), mode="replicate")
    turned = torch.roll(x, (3, -2), (2, 3)), x[..., torch.arange(x.shape[3] - 1, -1, -1)]
    return *around, *turned, F.interpolate(x, scale_factor=(1.5, 2), mode="bilinear")


class Branches(nn.Module):
    """What several modules make of one input, side by side."""

    def __init__(self, branches: nn.ModuleList) -> None:
        super().__init__()
        self.branches = branches

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def _deep() -> nn.Module:
    """Layers of one form, most of which have sizes of their own."""
    widths = [(20 + 4 * depth, 24 + 4 * depth) for depth in range(MANY // 2)]
    return nn.Sequential(
        *(nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU()) for a, b in widths)
    )


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    """What the tests of single modules need, built together."""
    made = {
        "deep": make(_deep(), torch.randn(2, 20, 7, 9)),
        "norm": make(nn.Sequential(nn.LayerNorm(40), nn.GELU()), torch.randn(8, 40)),
        "loss": make(F.cross_entropy, torch.randn(8, 40), torch.randint(0, 40, (8,))),
        "mean": make(lambda x: x.view(x.shape[0], 4, -1).mean(-1) + x.std(0).sum(), torch.randn(16, 32)),
        "softmax of a sum": make(lambda x, y: torch.softmax(x + y, -1), torch.randn(6, 10), torch.randn(6, 10)),
        "relu": make(lambda x: torch.relu(x) * 2, torch.randn(6, 10)),
        "divergence": make(
            lambda a, b: (a.softmax(-1) * (a.log_softmax(-1) - b.log_softmax(-1))).sum(-1),
            torch.randn(6, 50),
            torch.randn(6, 50),
        ),
        "positions": make(
            lambda x, y: (torch.exp(x * y.T), x.argmax() + y.argmax()), torch.randn(9, 20), torch.randn(20, 9)
        ),
        "reduced twice": make(_reduced_twice, torch.randn(8, 20)),
        "pooled": make(_pooled, torch.randn(2, 3, 9, 12)),
        "shifted": make(_shifted, torch.randn(4, 9)),
        "mirrored": make(_mirrored, torch.randn(2, 3, 20, 30)),
        "embedded": make(
            lambda x, w: x + F.embedding(torch.arange(x.shape[1]), w), torch.randn(2, 9, 8), torch.randn(64, 8)
        ),
    }
    return dict(zip(made, zip(made.values(), load_all(list(made.values())), strict=True), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("quarter", range(4))
def test_all_modules(quarter: int) -> None:
    """Every module of the lists, and what the catalogue left to torch in it."""
    modules = [*catalogue_modules.MODULES, *catalogue_positions.MODULES][quarter::4]
    made = [make(model, *inputs) for _, model, inputs in modules]
    kinds = {nest.kind for one in made for nest in one.program.nests}
    assert kinds >= {"map", "rows", "whole", "tiles", "columns"}
    wrong = {}
    for (name, _, _), one, candidate in zip(modules, made, load_all(made), strict=True):
        try:
            check(one.model, candidate, one.inputs)
        except (AssertionError, ValueError, RuntimeError) as error:
            wrong[name] = str(error)
    assert not wrong


def test_other_sizes_of_the_same_rank(loaded: Loaded) -> None:
    """Kernels made on one shape are right on others, odd ones and empty ones included."""
    (norm, norm_kernel), (loss, loss_kernel), (mean, mean_kernel) = (loaded[each] for each in ("norm", "loss", "mean"))
    for rows, width in ((1, 4), (3, 40), (77, 8), (130, 1204)):
        check(norm.model, norm_kernel, (torch.randn(rows, 40),))
        check(loss.model, loss_kernel, (torch.randn(rows, width), torch.randint(0, width, (rows,))))
        check(mean.model, mean_kernel, (torch.randn(rows + 1, width),))
    assert norm_kernel(torch.randn(0, 40)).shape == (0, 40)


def test_inputs_that_are_not_contiguous(loaded: Loaded) -> None:
    made, candidate = loaded["softmax of a sum"]
    check(made.model, candidate, (torch.randn(10, 6).T, torch.randn(6, 20)[:, ::2]))


def test_other_dtypes_are_refused_by_name(loaded: Loaded) -> None:
    _, candidate = loaded["relu"]
    with pytest.raises(ValueError, match="other shapes or dtypes"):
        candidate(torch.randn(6, 10).double())


def test_nothing_to_lower_leaves_no_kernel() -> None:
    assert make(lambda x, y: x @ y, torch.randn(4, 5).double(), torch.randn(5, 6).double()).program.nests == []


def test_kernels_of_one_form_are_one_function_in_a_deep_model(loaded: Loaded) -> None:
    made, candidate = loaded["deep"]
    check(made.model, candidate, made.inputs)
    assert len(made.program.nests) >= MANY
    assert made.source.count("multiply<") <= 2  # calls: images may be of another size after the first padding


def test_products_that_are_put_beside_each_other_are_computed_once() -> None:
    branches = nn.ModuleList(nn.Conv2d(64, channels, 1) for channels in (32, 48, 64))
    made = make(Branches(branches), torch.randn(1, 64, 20, 20))
    products = [nest.product for nest in made.program.nests if nest.product is not None]
    assert sorted(axis.size for product in products for axis in product.m) == [32, 48, 64]


def test_library_calls_stay_between_kernels() -> None:
    wide = (torch.randn(4, 5).double(), torch.randn(5, 6).double())
    made = make(lambda x, y: torch.relu(x @ y).logcumsumexp(0).exp(), *wide)
    assert [call.target for call in made.program.calls] == ["aten.mm.default", "aten.logcumsumexp.default"]
    assert len(made.program.nests) == 2


def test_rows_of_several_tensors_are_read_once(loaded: Loaded) -> None:
    """What needs reductions of both tensors is computed where they are, while the rows are in the cache."""
    made, candidate = loaded["divergence"]
    assert len(made.program.nests) == 1
    check(made.model, candidate, (torch.randn(7, 33), torch.randn(7, 33)))


def test_positions_along_axes_in_different_orders(loaded: Loaded) -> None:
    made, candidate = loaded["positions"]
    for _ in range(5):
        check(made.model, candidate, (torch.randn(9, 20), torch.randn(20, 9)))


def test_a_reduction_of_what_another_kernel_reduces_first(loaded: Loaded) -> None:
    made, candidate = loaded["reduced twice"]
    check(made.model, candidate, (torch.randn(5, 33),))


def test_other_sizes_where_results_are_shorter_or_longer_than_the_inputs(loaded: Loaded) -> None:
    (pooled, pooled_kernel), (shifted, shifted_kernel) = loaded["pooled"], loaded["shifted"]
    for height, width in ((9, 12), (8, 13), (7, 40), (30, 11)):
        check(pooled.model, pooled_kernel, (torch.randn(3, 2, height, width),))
        check(shifted.model, shifted_kernel, (torch.randn(height, width),))


def test_other_sizes_where_positions_are_computed(loaded: Loaded) -> None:
    """Paddings, rolls, resized pictures and embedded positions: what is near a size in the graph follows it."""
    (mirrored, mirrored_kernel), (embedded, embedded_kernel) = loaded["mirrored"], loaded["embedded"]
    for height, width in ((20, 30), (8, 97), (31, 4), (6, 64)):
        check(mirrored.model, mirrored_kernel, (torch.randn(3, 2, height, width),))
        check(embedded.model, embedded_kernel, (torch.randn(3, width // 2, 8), torch.randn(64, 8)))


def test_numbers_that_may_follow_from_sizes_are_not_taken_for_constants_where_sizes_change() -> None:
    """`x[:, : x.shape[1] - 2]` and `x[:, :7]` are the same graph."""
    fixed, relative = (
        describe(Lambda(function), (torch.randn(4, 9),))
        for function in (lambda x: x[:, :7] * 2, lambda x: x[:, :-2] * 2)
    )
    assert _proposed(*fixed) == _proposed(*relative) == 1
    assert _proposed(*fixed, hides=True) == 0
    assert _proposed(*relative, hides=True) == 1


def test_positions_that_leave_open_which_size_they_follow_are_not_guessed() -> None:
    modules: dict[str, tuple[Any, tuple[torch.Tensor, ...], int]] = {
        "padded": (lambda x: F.pad(x, (2, 2), mode="reflect") * 2, (torch.randn(2, 40),), 1),
        "embedded": (_Positions(lambda table, n: F.embedding(torch.arange(n), table)), (torch.randn(2, 9, 8),), 1),
        "first of a table": (_Positions(lambda table, n: table[:n]), (torch.randn(2, 9, 8),), 1),
        "as many as ever": (_Positions(lambda table, n: table[:n].sum(0)), (torch.randn(2, 9, 8),), 0),
        "from the end of a table": (_Positions(_from_its_end), (torch.randn(2, 9, 8),), 1),
        "from the end, at its longest": (_Positions(_from_its_end), (torch.randn(2, 64, 8),), 0),
        "turned by its own size": (lambda x: _turned(x, x), (torch.randn(9, 70),), 1),
        "turned by another's size": (_turned, (torch.randn(9, 70), torch.randn(9, 70)), 0),
        "nearly all": (lambda x: x[:, torch.arange(36)] * 2, (torch.randn(4, 40),), 0),
        "some": (lambda x: x[:, torch.arange(20) + 7] * 2, (torch.randn(4, 40),), 0),
    }
    found = {}
    for name, (model, inputs, _) in modules.items():
        info, graph = describe(model if isinstance(model, nn.Module) else Lambda(model), inputs)
        assert _proposed(info, graph) == 1
        found[name] = _proposed(info, graph, hides=True)
    assert found == {name: expected for name, (_, _, expected) in modules.items()}


def _from_its_end(table: torch.Tensor, n: int) -> torch.Tensor:
    return table[n - 1 - torch.arange(n)]


def _turned(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x[:, torch.arange(y.shape[1] - 1, -1, -1)] * y


class _Positions(nn.Module):
    def __init__(self, taken: Callable[[torch.Tensor, int], torch.Tensor]) -> None:
        super().__init__()
        self.table, self.taken = nn.Parameter(torch.randn(64, 8)), taken

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.taken(self.table, x.shape[1])


def _proposed(info: TaskInfo, graph: Graph, *, hides: bool = False) -> int:
    info = info.model_copy(update={"hides": hides})
    return len(asyncio.run(_all(Catalogue(), info, graph)))


async def _all(catalogue: Catalogue, info: TaskInfo, graph: Graph) -> list[Candidate]:
    context = mock.Mock(info=info, graph=graph, language="cpp", target=TARGET)
    return [candidate async for candidate in catalogue.propose(context)]
