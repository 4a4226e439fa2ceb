"""How many numbers are added up for an element of a result, which decides what rounding is allowed to leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from kernelwright.tasks.host_sums import Sums
from kernelwright.tasks.host_trace import Trace


def behind(function: Callable[..., Any], *inputs: torch.Tensor) -> Sums:
    with torch.no_grad(), Trace() as trace:
        made = function(*inputs)
    return trace.sums.of([made])


def in_place(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    return torch.zeros(8, 8).addmm_(x, a)


def reused(x: torch.Tensor) -> torch.Tensor:
    scratch = torch.zeros_like(x)
    for _ in range(100):
        scratch.copy_(x)
    return scratch


X, A = torch.randn(8, 64), torch.randn(64, 8)
IMAGES, KERNEL = torch.randn(2, 4, 9, 9), torch.randn(6, 4, 3, 3)
HEADS = torch.randn(1, 2, 32, 16)
TERMS: dict[str, tuple[Callable[..., Any], tuple[torch.Tensor, ...], float]] = {
    "product": (torch.mm, (X, A), 64),
    "product, then a sum of it": (lambda x, a: (x @ a).sum(), (X, A), 64 + 64),
    "two products": (lambda x, a: x @ a @ x, (X, A), 64 + 8),
    "product in place": (in_place, (X, A), 65),
    "vector": (torch.mv, (X, A[:, 0]), 64),
    "vector, added": (torch.addmv, (X[:, 0], X, A[:, 0]), 64),
    "batches added up": (torch.addbmm, (X[:, :8], X.view(4, 8, 16), X.view(4, 16, 8)), 64),
    "convolution": (F.conv2d, (IMAGES, KERNEL), 36),
    "transposed convolution": (F.conv_transpose2d, (IMAGES, KERNEL.transpose(0, 1)), 4 * 9),
    "with a stride": (lambda x, w: F.conv_transpose2d(x, w, stride=2), (IMAGES, KERNEL.transpose(0, 1)), 4 * 4),
    "where all elements of the window meet": (
        lambda x, w: F.conv_transpose2d(x, w, stride=2, dilation=2, groups=2),
        (IMAGES, KERNEL[:4].transpose(0, 1)),
        2 * 9,
    ),
    "attention": (F.scaled_dot_product_attention, (HEADS, HEADS, HEADS), 64),
    "softmax": (lambda x: x.softmax(-1), (X,), 64),
    "layer norm": (lambda x: F.layer_norm(x, (64,)), (X,), 64),
    "mean of means": (lambda x: x.mean(-1).mean(), (X,), 64 + 512),
    "running sum": (lambda x: x.cumsum(1), (X,), 64),
    "batch's loss": (lambda x, t: F.cross_entropy(x, t, reduction="none"), (X, torch.zeros(8, dtype=torch.int64)), 65),
    "maximum": (lambda x: x.amax(), (X,), 1),
    "any": (lambda x: torch.sigmoid(x) * ~x.isnan().any(), (X,), 2),
    "new zeros": (lambda x: x.new_zeros(2) + 1, (X,), 2),
    "bags": (F.embedding_bag, (torch.randint(0, 64, (3, 5)), A), 5),
    "scratch": (reused, (X,), 1),
}


@pytest.mark.parametrize("what", TERMS)
def test_terms_are_counted_on_the_way_to_a_result(what: str) -> None:
    function, inputs, terms = TERMS[what]
    assert terms <= behind(function, *inputs).terms <= terms + 4


def test_a_result_knows_nothing_of_sums_that_it_does_not_come_from() -> None:
    x = torch.randn(1000)
    with Trace() as trace:
        total, other = x.sum(), torch.sigmoid(x)
    assert trace.sums.of([total]) == Sums(1000, 1000)
    assert trace.sums.of([other]) == Sums(1, 1)


def test_products_are_no_chains() -> None:
    assert behind(torch.mm, X, A).chain == 1
    assert behind(lambda x, a: (x @ a).softmax(-1), X, A).chain == 8


@pytest.mark.parametrize(
    "wanted", [(True, False, False), (False, True, False), (False, True, True), (True, True, True)]
)
@pytest.mark.parametrize("transposed", [False, True])
def test_gradients_of_convolutions_in_part(wanted: tuple[bool, ...], transposed: bool) -> None:
    kernel = KERNEL.transpose(0, 1) if transposed else KERNEL
    with Trace() as trace:
        grad = torch.randn(2, 6, 11, 11) if transposed else torch.randn(2, 6, 7, 7)
        made = torch.ops.aten.convolution_backward(
            grad, IMAGES, kernel.contiguous(), [6], [1, 1], [0, 0], [1, 1], transposed, [0, 0], 1, wanted
        )
    assert trace.sums.of([each for each in made if each is not None]).terms > 1
