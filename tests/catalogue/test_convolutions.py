"""What convolutions are lowered to, for any stride, dilation and padding, against torch in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from catalogue_harness import TARGET, describe, in_float64
from catalogue_interpreter import plainly
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn

from kernelwright.proposers.catalogue.cpp.renderer import Cpp
from kernelwright.proposers.catalogue.program import plan

_PLAIN, _TRANSPOSED = {1: nn.Conv1d, 2: nn.Conv2d}, {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}


def interpreted(model: nn.Module, x: torch.Tensor) -> np.ndarray[Any, Any]:
    """The model's result as its kernels' expressions mean it."""
    _, graph = describe(model, (x,))
    program = plan(graph, TARGET, Cpp())
    assert not program.calls
    state = model.state_dict()
    values = {node.name: state[node.target] for node in graph.nodes if node.op == "state"}
    values |= {node.name: x for node in graph.nodes if node.op == "input"}
    memory = {name: value.double().numpy().reshape(-1) for name, value in values.items()}
    for schedule in program.schedules:
        memory |= plainly(schedule.region.stores, memory)
    (output,) = program.lowering.outputs
    return np.asarray(memory[output["node"]])


@settings(max_examples=16, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(data=st.data(), rank=st.integers(1, 2), transposed=st.booleans(), groups=st.sampled_from([1, 2, 4]))
def test_any_window_reads_what_it_should(data: st.DataObject, rank: int, transposed: bool, groups: int) -> None:
    def each(least: int, most: int) -> tuple[int, ...]:
        return data.draw(st.tuples(*[st.integers(least, most)] * rank))

    size, span, stride, dilation, padding = each(1, 9), each(1, 4), each(1, 4), each(1, 4), each(0, 3)
    if transposed:
        more = tuple(data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
        out = [
            (n - 1) * s - 2 * p + d * (k - 1) + o + 1
            for n, k, s, d, p, o in zip(size, span, stride, dilation, padding, more, strict=True)
        ]
        assume(min(out) > 0)
        model = _TRANSPOSED[rank](4, 8, span, stride, padding, more, groups, dilation=dilation)
    else:
        reach = [n + 2 * p - d * (k - 1) for n, k, d, p in zip(size, span, dilation, padding, strict=True)]
        assume(min(reach) > 0)
        model = _PLAIN[rank](4, 8, span, stride, padding, dilation, groups)
    x = torch.randn(2, 4, *size)
    exact = in_float64(model, (x,)).detach().numpy()
    np.testing.assert_allclose(interpreted(model, x), exact.reshape(-1), rtol=1e-9, atol=1e-9)
