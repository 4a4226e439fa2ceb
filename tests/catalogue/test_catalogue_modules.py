"""Whole modules through the catalogue, against torch in float64."""

from __future__ import annotations

import catalogue_modules
import pytest
import torch
import torch.nn.functional as F
from catalogue_harness import Made, check, load_all, make
from torch import nn

Loaded = dict[str, tuple[Made, nn.Module]]


def _reduced_twice(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    most = x.amax(0, keepdim=True)
    return torch.sigmoid(x) + most.amax(1, keepdim=True), most.sum(1, keepdim=True)


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    """What the tests of single modules need, built together."""
    made = {
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
    }
    return dict(zip(made, zip(made.values(), load_all(list(made.values()), groups=2), strict=True), strict=True))


@pytest.mark.slow
def test_all_modules() -> None:
    """Every module of the list, and what the catalogue left to torch in it."""
    made = [make(model, *inputs) for _, model, inputs in catalogue_modules.MODULES]
    kinds = {nest.kind for one in made for nest in one.program.nests}
    assert kinds >= {"map", "rows", "whole", "tiles", "columns"}
    wrong = {}
    for (name, _, _), one, candidate in zip(catalogue_modules.MODULES, made, load_all(made), strict=True):
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


def test_library_calls_stay_between_kernels() -> None:
    made = make(lambda x, y: torch.relu(torch.exp(x) @ y), torch.randn(4, 5).double(), torch.randn(5, 6).double())
    assert [call.target for call in made.program.calls] == ["aten.mm.default"]
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
