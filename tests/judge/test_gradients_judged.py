"""Gradients count: they are judged against float64's as outputs are."""

from __future__ import annotations

from textwrap import dedent

import pytest
from judge_bench import Bench

from kernelwright.judge.judge import Judge
from kernelwright.proposers.base import Candidate, Context
from kernelwright.proposers.catalogue import Catalogue

TASK = dedent("""
    import torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(40))

        def forward(self, x):
            return torch.sigmoid(x) * self.weight

    def get_inputs():
        return [torch.randn(64, 40)]

    def get_init_inputs():
        return []
    """)

CANDIDATE = dedent("""
    import torch
    from torch import nn

    class Both(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight):
            ctx.save_for_backward(x, weight)
            return torch.sigmoid(x) * weight

        @staticmethod
        def backward(ctx, gradient):
            x, weight = ctx.saved_tensors
            y = torch.sigmoid(x)
            return gradient * weight * y * (1 - y), (gradient * y).sum(0)

    class ModelNew(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(40))

        def forward(self, x):
            return Both.apply(x, self.weight)
    """)


def test_what_is_right_is_right_in_every_stage_before_the_audit(bench: Bench) -> None:
    verdict = bench.evaluate(TASK, CANDIDATE, backward=True)

    assert verdict.reason == "no_kernel", verdict.message


@pytest.mark.parametrize(
    ("old", "new", "reason", "named"),
    [
        ("(1 - y)", "(1 - x)", "wrong_values", "output 1"),
        ("(gradient * y)", "(gradient * x)", "wrong_values", "output 2"),
        ("torch.sigmoid(x) * weight\n", "torch.sigmoid(x) * weight * 1.01\n", "wrong_values", "output 0"),
        ("return Both.apply(x, self.weight)", "return Both.apply(x, self.weight).detach()", "crashed", "grad"),
        ("self.weight", "self.other", "crashed", "'weight'"),
    ],
    ids=["of an input", "of a parameter", "forward", "no way back", "no such parameter"],
)
def test_what_is_wrong_is_named(bench: Bench, old: str, new: str, reason: str, named: str) -> None:
    verdict = bench.evaluate(TASK, CANDIDATE.replace(old, new), backward=True)

    assert verdict.reason == reason, verdict.message
    assert named in verdict.message


async def _first(judge: Judge) -> Candidate:
    graph = await judge.graph("default")
    target = judge.target
    context = Context(
        judge.task.id, "", judge.info.shown, graph, target.info(), target.ceilings(), "cpp", judge.compiled
    )
    return await anext(Catalogue().propose(context))


@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
def test_the_catalogues_kernels_of_both_ways_are_accepted_and_each_way_is_timed(bench: Bench, function: str) -> None:
    judge = bench.judge(TASK.replace("sigmoid", function), backward=True)
    candidate = bench.run(_first(judge))

    verdict = bench.run(judge.evaluate(candidate))

    assert verdict.accepted, verdict.message
    assert [timing.case for timing in verdict.timings] == ["default", "default, forward"]
    assert not verdict.library_calls
