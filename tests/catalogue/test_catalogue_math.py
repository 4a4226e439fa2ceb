"""The vector functions against float64, in units in the last place. The sign of a zero result is left open."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from catalogue_harness import load_all, make

INFINITY, NAN = float("inf"), float("nan")
FUNCTIONS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], float, float]] = {
    "exp": (torch.exp, -104, 89),
    "expm1": (torch.expm1, -20, 88.7),
    "log": (torch.log, 0, 3e38),
    "log1p": (torch.log1p, -1, 1e37),
    "log2": (torch.log2, 0, 1e30),
    "log10": (torch.log10, 0, 1e30),
    "sigmoid": (torch.sigmoid, -87, 100),
    "tanh": (torch.tanh, -12, 12),
    "erf": (torch.erf, -6, 6),
}
SPECIAL = torch.tensor([INFINITY, -INFINITY, NAN, 0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 1e-39, 1e-30, 3.4e38, -3.4e38])


@pytest.fixture(scope="module")
def functions() -> dict[str, torch.nn.Module]:
    made = [make(function, torch.ones(4)) for function, _, _ in FUNCTIONS.values()]
    return dict(zip(FUNCTIONS, load_all(made, optimised=True), strict=True))


def arguments(low: float, high: float) -> torch.Tensor:
    """Evenly spaced over the range, closer and closer to 0 and to its ends, and at 1."""
    near = torch.logspace(-44, 38, 40001, dtype=torch.float64)
    spread = [
        torch.linspace(low, high, 100001, dtype=torch.float64),
        near,
        -near,
        low + near,
        high - near,
        1 + near,
        1 - near,
    ]
    values = torch.cat(spread).float()
    return values[(values >= low) & (values <= high)]


def units(value: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    """Distance from the exact value in units in the last place of the nearest float."""
    nearest = exact.float()
    unit = torch.nextafter(nearest.abs(), torch.tensor(INFINITY)).double() - nearest.abs().double()
    error = (value.double() - exact).abs() / unit
    return torch.where(value == nearest, 0.0, error)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_four_units_in_the_last_place(name: str, functions: dict[str, torch.nn.Module]) -> None:
    function, low, high = FUNCTIONS[name]
    x = arguments(low, high)
    error = units(functions[name](x), function(x.double()))
    worst = error.argmax()
    assert error[worst] <= 4, f"{error[worst]:.2f} at {x[worst].item()!r}"


def test_one_and_erf_is_as_near_as_its_sum() -> None:
    made = [make(lambda x: torch.erf(x) + 1, torch.ones(4)), make(lambda x: x.erf() * (1 + x.erf()), torch.ones(4))]
    assert "erf_and_1(inputs_0_v0)" in made[0].source and "erf_and_1(" not in made[1].source
    module, product = load_all(made, optimised=True)
    x = arguments(-9, 9)
    assert (module(x) - (torch.erf(x.double()) + 1)).abs().max() <= 2**-22
    torch.testing.assert_close(module(SPECIAL), torch.erf(SPECIAL) + 1, rtol=0, atol=2**-23, equal_nan=True)
    assert module(torch.tensor([-7.0, -INFINITY])).tolist() == [0, 0]
    exact = torch.erf(x.double())
    assert (product(x) - exact * (1 + exact)).abs().max() <= 2**-21


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_within_one_unit_where_a_derivative_takes_it_from_one(name: str, functions: dict[str, torch.nn.Module]) -> None:
    x = torch.linspace(1, 12, 1000001)
    assert units(functions[name](x), FUNCTIONS[name][0](x.double())).max() <= 0.8


@pytest.mark.parametrize("name", FUNCTIONS)
def test_infinities_nan_and_zeros(name: str, functions: dict[str, torch.nn.Module]) -> None:
    function, _, _ = FUNCTIONS[name]
    got, want = functions[name](SPECIAL), function(SPECIAL)
    torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-37, equal_nan=True)
