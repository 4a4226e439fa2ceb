"""Tasks beyond one float tensor in, one out: state that changes, integers, tuples, other dtypes."""

from __future__ import annotations

from textwrap import dedent

from judge_bench import Bench

HEAD = "import torch\nfrom torch import nn\n"

BATCH_NORM = HEAD + dedent("""
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(40)

        def forward(self, x):
            return self.norm(x)

    def get_inputs():
        return [torch.randn(64, 40)]

    def get_init_inputs():
        return []
    """)

INDICES = HEAD + dedent("""
    class Model(nn.Module):
        def forward(self, x, k, flag):
            return torch.argmax(x, dim=-1), x > 0.5, x.sum(-1) * k

    def get_inputs():
        return [torch.randn(50, 64), 3, True]

    def get_init_inputs():
        return []
    """)

LOW = HEAD + dedent("""
    class Model(nn.Module):
        def forward(self, x):
            return torch.softmax(x, -1)

    def get_inputs():
        return [torch.randn(40, 512).bfloat16()]

    def get_init_inputs():
        return []
    """)


def as_candidate(task: str, change: tuple[str, str] = ("", "")) -> str:
    return task.split("def get_inputs", maxsplit=1)[0].replace("class Model", "class ModelNew").replace(*change)


def test_running_statistics_are_part_of_the_answer(bench: Bench) -> None:
    same = bench.evaluate(BATCH_NORM, as_candidate(BATCH_NORM))
    assert same.reason == "no_kernel", same.message  # right in every stage before the audit

    frozen = bench.evaluate(BATCH_NORM, as_candidate(BATCH_NORM, ("(40)", "(40, momentum=0.0)")))
    assert frozen.reason == "wrong_values"
    assert "running_mean" in frozen.message


def test_integers_booleans_and_plain_arguments(bench: Bench) -> None:
    assert bench.evaluate(INDICES, as_candidate(INDICES)).reason == "no_kernel"

    off = bench.evaluate(INDICES, as_candidate(INDICES, ("torch.argmax(x, dim=-1)", "torch.argmin(x, dim=-1)")))
    assert off.reason == "wrong_values"
    assert "output 0" in off.message

    wrong = bench.evaluate(INDICES, as_candidate(INDICES, ("x > 0.5", "x > 0.4")))
    assert wrong.reason == "wrong_values"
    assert "output 1" in wrong.message


def test_bfloat16(bench: Bench) -> None:
    assert bench.evaluate(LOW, as_candidate(LOW)).reason == "no_kernel"
    better = as_candidate(LOW, ("torch.softmax(x, -1)", "torch.softmax(x.float(), -1).bfloat16()"))
    assert bench.evaluate(LOW, better).reason == "no_kernel"
    worse = as_candidate(LOW, ("torch.softmax(x, -1)", "torch.softmax(x * 1.02, -1)"))
    assert bench.evaluate(LOW, worse).reason == "wrong_values"
