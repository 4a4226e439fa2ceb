"""Float64 answers beside a tie: what becomes another whole number, and what does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kernelwright.tasks.host_rounding import NearTies
from kernelwright.tasks.host_sums import storage

BY = 1e-6
# Beside a tie of `round`, whole numbers, far from both, and an infinity.
X = torch.tensor([2.5 + 1e-8, -2.5 - 1e-8, 3.0, -4.0, 0.2, 7.9, float("-inf")], dtype=torch.float64)
INF = float("inf")


def ways(function: Callable[[Tensor], Tensor]) -> list[list[float]]:
    """What it gives as it is, moved down and moved up."""
    found = []
    for by in (0.0, -BY, BY):
        with NearTies(by):
            found.append(function(X.clone()).double().tolist())
    return found


@pytest.mark.parametrize(
    ("function", "down", "up"),
    [
        (torch.round, [2, -3, 3, -4, 0, 8, -INF], [3, -2, 3, -4, 0, 8, -INF]),
        (lambda x: x[:6].round_().to(torch.int8), [2, -3, 3, -4, 0, 8], [3, -2, 3, -4, 0, 8]),
        (torch.floor, [2, -3, 3, -4, 0, 7, -INF], [2, -3, 3, -4, 0, 7, -INF]),
        (lambda x: (x[:6] * 2).to(torch.int32), [4, -5, 6, -8, 0, 15], [5, -4, 6, -8, 0, 15]),
        (lambda x: x == x.floor(), [0, 0, 1, 1, 0, 0, 1], [0, 0, 1, 1, 0, 0, 1]),
        (lambda x: x > 2.5, [0, 0, 1, 0, 0, 1, 0], [1, 0, 1, 0, 0, 1, 0]),
        (lambda x: x >= x.amax(), [0, 0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1, 0]),
        (lambda x: x < 100, [1] * 7, [1] * 7),
        (lambda x: x < INF, [1] * 7, [1] * 7),
        (lambda x: x > -INF, [1] * 6 + [0], [1] * 6 + [0]),
        (lambda x: x * 2 + 1, *[[2 * value + 1 for value in X.tolist()]] * 2),
    ],
)
def test_only_what_a_rounding_decides_is_decided_both_ways(
    function: Callable[[Tensor], Tensor], down: list[float], up: list[float]
) -> None:
    _, *found = ways(function)
    assert found == [down, up]


def test_it_says_whether_anything_was_decided() -> None:
    with NearTies(0.0) as met:
        torch.relu(X)
        assert not met.met
        assert X[:3].round().tolist() == [3, -3, 3]
    assert met.met


def test_numbers_as_they_were_given_come_from_no_rounding() -> None:
    halves = torch.tensor([0.5, 1.5, 2.5], dtype=torch.float64)
    with NearTies(BY, {storage(halves)}) as met:
        assert halves.round().tolist() == [0, 2, 2]
        assert not met.met
        assert (halves * 1).round().tolist() == [1, 2, 3]
    assert met.met
