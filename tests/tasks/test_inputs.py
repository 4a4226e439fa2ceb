from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelwright.tasks.host import distributions, randomise_state

NAMES = ["clustered", "scaled", "signed", "shifted", "sparse"]


@st.composite
def matrices(draw: st.DrawFn) -> torch.Tensor:
    size, seed = draw(st.integers(2, 9)), draw(st.integers(0, 1 << 30))
    value = torch.randn(draw(st.integers(1, 3)), size, size, generator=torch.Generator().manual_seed(seed))
    value = {
        "any": value,
        "symmetric": value + value.mT,
        "lower": value.tril(),
        "upper": value.triu(),
        "diagonal": torch.diag_embed(value[:, 0]),
        "holes": value * (value > 0),
    }[draw(st.sampled_from(["any", "symmetric", "lower", "upper", "diagonal", "holes"]))]
    return value.to(draw(st.sampled_from([torch.float32, torch.float64, torch.float16])))


@settings(deadline=None, max_examples=60)
@given(matrices(), st.integers(0, 1 << 30))
def test_structure_survives_every_distribution(value: torch.Tensor, seed: int) -> None:
    before = value.clone()
    structured = torch.equal(value, value.mT) or torch.equal(value, value.tril()) or torch.equal(value, value.triu())
    for name, transform in distributions([value], seed).items():
        (changed,) = transform([value])
        assert name in NAMES
        assert torch.equal(value, before), "the draw itself must stay"
        assert changed.dtype == value.dtype
        assert changed.shape == value.shape
        assert not changed[value == 0].any(), "zeros stay zero"
        if torch.equal(value, value.mT):
            assert torch.equal(changed, changed.mT)
        if structured:
            assert torch.equal(changed.diagonal(dim1=-2, dim2=-1), value.diagonal(dim1=-2, dim2=-1))
        assert torch.equal(changed, transform([value])[0]), "repeatable"


def test_each_distribution_does_what_its_name_says() -> None:
    value = torch.rand(64, 128)
    transforms = distributions([value], 7)
    results = {name: transforms[name]([value])[0] for name in NAMES}
    assert torch.allclose(results["scaled"], value * 8)
    assert torch.allclose(results["shifted"], value + 3)
    assert abs(results["signed"].mean()) < 0.05
    assert 0.05 < (results["sparse"] != 0).float().mean() < 0.15
    assert value.min() <= results["clustered"].min() <= results["clustered"].max() <= value.max()


def test_errors_of_a_fit_to_the_density_do_not_cancel_in_clusters() -> None:
    value = torch.rand(1024, 512, dtype=torch.float64)
    (clustered,) = distributions([value], 7)["clustered"]([value])
    lines = torch.stack([torch.ones_like(value), value], -1).reshape(-1, 2)
    line = torch.linalg.lstsq(lines, value.exp().reshape(-1, 1)).solution.reshape(-1)
    error = [float((line[0] + line[1] * x - x.exp()).mean().abs()) for x in (value, clustered)]
    assert error[0] < 1e-10 < 1e-5 < error[1]


def test_what_is_not_finite_stays_where_it_is() -> None:
    value = torch.where(torch.rand(64, 64) < 0.5, torch.randn(64, 64), torch.tensor(-torch.inf))
    (clustered,) = distributions([value], 7)["clustered"]([value])
    assert torch.equal(clustered.isinf(), value.isinf())
    assert not clustered.isnan().any()


@pytest.mark.parametrize(
    "value",
    [
        torch.randint(0, 9, (4, 4)),
        torch.rand(8, 8) > 0.5,
        (torch.rand(64, 8) > 0.5).float(),
        torch.randint(0, 2, (64,)).float() * 2 - 1,
        torch.softmax(torch.randn(16, 10), -1),
        torch.nn.functional.one_hot(torch.arange(6), 7).float(),
        torch.randint(0, 5, (128,)).float() / 4,
        torch.zeros(0, 3),
        3.5,
        None,
    ],
    ids=["int", "bool", "mask", "signs", "probabilities", "one_hot", "levels", "empty", "float", "none"],
)
def test_codes_and_plain_values_are_left_alone(value: object) -> None:
    assert distributions([value], 0) == {}
    measured = torch.randn(4, 8)
    for transform in distributions([measured, value], 0).values():
        assert transform([measured, value])[1] is value


def test_strides_are_kept() -> None:
    value = torch.randn(8, 16).T
    for transform in distributions([value], 0).values():
        assert transform([value])[0].stride() == value.stride()


def test_state_moves_away_from_zeros_and_ones() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    model.register_buffer("mask", torch.ones(4))
    model.register_parameter("tenth", torch.nn.Parameter(torch.full((3,), 0.1)))
    state = [(name, "parameter", tensor) for name, tensor in model.named_parameters()]
    state += [(name, "buffer", tensor) for name, tensor in model.named_buffers()]
    before = {name: tensor.clone() for name, _, tensor in state}
    randomise_state(state, 5)
    after = {name: tensor.clone() for name, _, tensor in state}
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {"0.weight", "0.bias", "1.num_batches_tracked", "mask"}
    assert 0.5 <= after["1.weight"].min() <= after["1.running_var"].max() < 1.5
    assert after["1.bias"].abs().max() <= 0.5
    assert 0.05 <= after["tenth"].min() <= after["tenth"].max() <= 0.15
    for name, _, tensor in state:
        tensor.data.copy_(before[name])
    randomise_state(state, 5)
    assert all(torch.equal(after[name], tensor) for name, _, tensor in state)
