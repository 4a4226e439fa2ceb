from __future__ import annotations

from collections.abc import Callable

import pytest

from kernelwright.tasks import Fairness, host

Make = Callable[..., host.Reference]


def names(reference: host.Reference) -> list[str]:
    found = Fairness.model_validate(reference.fairness(20.0))
    assert all(problem.reason for problem in found.problems)
    assert found.fair == (not found.problems)
    return [problem.name for problem in found.problems]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return x * 0", "constant"),
        ("return torch.ones(3, 3)", "constant"),
        ("return torch.arange(3.0) + x.sum() * 1e-9", "ignores_inputs"),
        ("return x + torch.rand(8)", "not_repeatable"),
        ("return nn.functional.dropout(x)", "not_repeatable"),
        ("return (x + 100).exp()", "overflows"),
        ("return x / 0", "overflows"),
        ("return ((x + 1e7) - 1e7) - x", "overflows"),
    ],
)
def test_unfair_tasks_are_named(make: Make, body: str, problem: str) -> None:
    assert problem in names(make(body))


@pytest.mark.parametrize(
    ("body", "inputs"),
    [
        ("return x.exp().sum(-1)", "torch.rand(64, 64)"),
        ("return (x > 0.5)", "torch.rand(64, 64)"),
        ("return x @ more[0]", "torch.rand(64, 64), torch.rand(64, 8)"),
        ("return self.bn(x)", "torch.rand(64, 8)"),
    ],
)
def test_fair_tasks_pass(make: Make, body: str, inputs: str) -> None:
    assert names(make(body, inputs, init="self.bn = nn.BatchNorm1d(8)")) == []


def test_an_input_without_effect_is_named(make: Make) -> None:
    reference = make("return x + 1", "torch.rand(8), torch.rand(8)")
    (problem,) = reference.fairness(20.0)["problems"]
    assert problem == {"name": "ignores_inputs", "reason": "its outputs do not depend on input 1"}


def test_what_there_was_no_time_for_is_said(make: Make) -> None:
    (problem,) = make("import time; time.sleep(0.3); return x + 1").fairness(0.2)["problems"]
    assert problem["name"] == "not_checked"
    assert "no time within 0.2 s" in problem["reason"]


def test_a_forward_that_raises_is_an_error(make: Make) -> None:
    with pytest.raises(host.HostError, match="ValueError"):
        make("raise ValueError").fairness(5.0)
