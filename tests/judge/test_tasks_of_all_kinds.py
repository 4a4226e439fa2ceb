"""Tasks beyond one float tensor in, one out: state that changes, integers, tuples, other dtypes."""

from __future__ import annotations

from textwrap import dedent

import pytest
from judge_bench import Bench

TASK = dedent("""
    import torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(40)

        def forward(self, x, k, flag, low):
            return self.norm(x), torch.argmax(x, dim=-1), x > 0.5, x.sum(-1) * k, torch.softmax(low, -1)

    def get_inputs():
        return [torch.randn(64, 40), 3, True, torch.randn(40, 512).bfloat16()]

    def get_init_inputs():
        return []
    """)
"""One task of them all, since starting a judge takes longer than judging."""


def same(old: str = "", new: str = "") -> str:
    """The task's own code as a candidate, with one change."""
    return TASK.split("def get_inputs", maxsplit=1)[0].replace("class Model", "class ModelNew").replace(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("torch.softmax(low, -1)", "torch.softmax(low.float(), -1).bfloat16()"),
    ],
    ids=["the same", "bfloat16 computed more precisely"],
)
def test_what_is_right_is_right_in_every_stage_before_the_audit(bench: Bench, old: str, new: str) -> None:
    verdict = bench.evaluate(TASK, same(old, new))

    assert verdict.reason == "no_kernel", verdict.message


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("(40)", "(40, momentum=0.0)", "running_mean"),
        ("torch.argmax(x, dim=-1)", "torch.argmin(x, dim=-1)", "output 1"),
        ("x > 0.5", "x > 0.4", "output 2"),
        ("x.sum(-1) * k", "x.sum(-1) * 2", "output 3"),
        ("torch.softmax(low, -1)", "torch.softmax(low * 1.02, -1)", "output 4"),
    ],
    ids=["running statistics", "integers", "booleans", "plain arguments", "bfloat16"],
)
def test_what_is_wrong_is_named(bench: Bench, old: str, new: str, named: str) -> None:
    verdict = bench.evaluate(TASK, same(old, new))

    assert verdict.reason == "wrong_values"
    assert named in verdict.message
