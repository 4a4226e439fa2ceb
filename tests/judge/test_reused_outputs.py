"""A result must outlast the next call, however long the reference takes."""

from __future__ import annotations

from textwrap import dedent

import pytest
from judge_bench import Bench
from judge_sources import AFFINE, HONEST, OWN, with_kernel

SLOW = AFFINE.replace("        return torch.relu", "        time.sleep(0.006)\n        return torch.relu").replace(
    "import torch\n", "import time\n\nimport torch\n", 1
)
"""A batch of it is one call."""
KEPT = with_kernel(
    "y = self.__dict__.setdefault('kept', {}).setdefault(x.shape, torch.empty_like(x))", *OWN[1:], "return y"
)
OWN_BUFFER = dedent("""
    import torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("last", torch.zeros(64, 100))

        def forward(self, x):
            self.last.copy_(x.exp())
            return self.last

    def get_inputs():
        return [torch.randn(64, 100)]

    def get_init_inputs():
        return []
    """)


@pytest.mark.parametrize("task", [AFFINE, SLOW], ids=["several calls a batch", "one call a batch"])
def test_the_same_memory_from_every_call_is_told(bench: Bench, task: str) -> None:
    verdict = bench.evaluate(task, KEPT)

    assert verdict.reason == "reuses_outputs", verdict.message
    assert "forward must return fresh tensors" in verdict.message
    assert bench.known(task, HONEST).accepted


def test_what_the_reference_does_itself_is_allowed(bench: Bench) -> None:
    same = OWN_BUFFER.split("def get_inputs", maxsplit=1)[0].replace("class Model", "class ModelNew")
    fresh = same.replace("return self.last", "return self.last.clone()")

    for source in (same, fresh):
        verdict = bench.evaluate(OWN_BUFFER, source)
        assert verdict.reason == "no_kernel", verdict.message  # right in every stage before the audit


def test_state_of_another_dtype_is_told(bench: Bench) -> None:
    wide = OWN_BUFFER.split("def get_inputs", maxsplit=1)[0].replace("class Model", "class ModelNew")
    wide = wide.replace("zeros(64, 100)", "zeros(64, 100).double()").replace("return self.last", "return x.exp()")

    verdict = bench.evaluate(OWN_BUFFER, wide)

    assert verdict.reason == "wrong_dtype", verdict.message
    assert verdict.evidence["buffer"] == "last"
