"""Float64 convolutions in parts: the same numbers as torch's own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelwright.tasks import host_convolution
from kernelwright.tasks.host_convolution import ConvolutionsInParts

PLAIN = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}
TRANSPOSED = {1: torch.conv_transpose1d, 2: torch.conv_transpose2d, 3: torch.conv_transpose3d}
Case = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, dict[str, object], bool]


@st.composite
def convolutions(draw: st.DrawFn) -> Case:
    """Tensors and options that torch takes."""
    dims, transposed = draw(st.integers(1, 3)), draw(st.booleans())
    each = st.lists(st.integers(1, 3), min_size=dims, max_size=dims)
    kernel, stride, dilation = draw(each), draw(each), draw(each)
    padding = [draw(st.integers(0, width - 1)) for width in kernel]
    groups, wide, deep = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    sizes = [step * (width - 1) + draw(st.integers(1, 5)) for step, width in zip(dilation, kernel, strict=True)]
    options: dict[str, object] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if transposed:
        options["output_padding"] = [draw(st.integers(0, max(a, b) - 1)) for a, b in zip(stride, dilation, strict=True)]
    x = torch.randn(draw(st.integers(1, 3)), groups * wide, *sizes, dtype=torch.float64)
    outer, inner = (groups * wide, deep) if transposed else (groups * deep, wide)
    weight = torch.randn(outer, inner, *kernel, dtype=torch.float64)
    bias = torch.randn(groups * deep, dtype=torch.float64) if draw(st.booleans()) else None
    return x, weight, bias, options, transposed


@settings(max_examples=150, deadline=None)
@given(case=convolutions(), part=st.sampled_from([1, 2000, 8 << 20]))
def test_it_is_the_convolution(case: Case, part: int) -> None:
    x, weight, bias, options, transposed = case
    function = (TRANSPOSED if transposed else PLAIN)[x.dim() - 2]
    want = function(x, weight, bias, **options)
    with pytest.MonkeyPatch.context() as patch, ConvolutionsInParts():
        patch.setattr(host_convolution, "LARGE_BYTES", 0)
        patch.setattr(host_convolution, "PART_BYTES", part)
        got = function(x, weight, bias, **options)
    assert got.shape == want.shape
    assert got.is_contiguous()
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for each convolution that is computed in parts."""
    calls: list[int] = []
    own = host_convolution.convolution
    monkeypatch.setattr(host_convolution, "convolution", lambda *args: calls.append(1) or own(*args))
    return calls


def test_modules_that_pad_in_their_own_ways_and_unbatched_inputs_go_through_it(
    counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_convolution, "LARGE_BYTES", 0)
    modules = [
        torch.nn.Conv2d(3, 4, 3, padding="same", dilation=2),
        torch.nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        torch.nn.Conv2d(3, 4, 3, padding="valid"),
    ]
    x = torch.randn(3, 9, 8, dtype=torch.float64)
    for module in modules:
        want = module.double()(x)
        with ConvolutionsInParts(), torch.no_grad():
            torch.testing.assert_close(module(x), want, rtol=1e-12, atol=1e-12)
    assert len(counted) == len(modules)


def test_what_is_small_or_not_float64_is_torchs_own(counted: list[int]) -> None:
    with ConvolutionsInParts():
        torch.conv1d(torch.ones(1, 1, 4).double(), torch.ones(1, 1, 2).double())
        torch.conv1d(torch.ones(0, 1, 4).double(), torch.ones(1, 1, 2).double())
        torch.conv2d(torch.ones(1, 8, 300, 300), torch.ones(8, 8, 5, 5))
        assert not counted
        torch.conv2d(torch.ones(1, 8, 300, 300).double(), torch.ones(8, 8, 5, 5).double())
    assert counted
