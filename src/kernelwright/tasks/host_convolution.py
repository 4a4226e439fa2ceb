"""Float64 convolutions as products of matrices, for a reference's exact answers on the CPU.

Torch has no kernel for them but one that writes all windows of a sample to memory first, 27 times its input for a cube
of 3: hundreds of megabytes, of which a transposed one adds up number by number what it has written. Here a part of the
windows is made at a time, small enough for the caches.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

LARGE_BYTES = 64 << 20
"""Windows of a sample from which on this is faster than torch's own."""
PART_BYTES = 8 << 20
"""How much of them is made at a time."""


class ConvolutionsInParts(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, a large `aten.convolution` of float64 tensors on the CPU is computed by `convolution`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls the operator, or what takes its place."""
        if func is torch.ops.aten.convolution.default and not kwargs and _is_large(*args):
            return convolution(*args)
        return func(*args, **(kwargs or {}))


def _is_large(x: Tensor, weight: Tensor, *others: Any) -> bool:
    """Whether the windows of a sample, in one group of channels, are large."""
    if x.dtype != torch.float64 or x.device.type != "cpu" or not x.numel():
        return False
    _, stride, _, _, transposed, *_ = others
    places = prod(x.shape[2:]) // (1 if transposed else prod(stride))
    return 8 * prod(weight.shape[1:]) * places >= LARGE_BYTES


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    """As `aten.convolution`: `x` (N, C, *S), `weight` (O, C/groups, *K), or (C, O/groups, *K) where transposed; the
    result is (N, O, *T)."""
    dims = x.dim() - 2
    stride, padding, dilation, more = (
        list(numbers) * (dims // len(numbers)) for numbers in (stride, padding, dilation, output_padding)
    )
    if transposed:
        out = _scattered(x, weight, stride, padding, dilation, more, groups)
    else:
        edges = [amount for each in reversed(padding) for amount in (each, each)]
        out = _gathered(F.pad(x, edges), weight, stride, dilation, groups)
    return out if bias is None else out.add_(bias.view(-1, *[1] * dims))


def _gathered(x: Tensor, weight: Tensor, stride: list[int], dilation: list[int], groups: int) -> Tensor:
    """Windows become the columns of a matrix, which the weights are multiplied with."""
    kernel = weight.shape[2:]
    sizes = [
        (size - step * (width - 1) - 1) // every + 1
        for size, width, every, step in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    ]
    grouped = x.contiguous().view(x.shape[0], groups, -1, *x.shape[2:])
    strides = grouped.stride()
    windows = grouped.as_strided(
        (*grouped.shape[:3], *kernel, *sizes),
        (
            *strides[:3],
            *[each * step for each, step in zip(strides[3:], dilation, strict=True)],
            *[each * every for each, every in zip(strides[3:], stride, strict=True)],
        ),
    )
    matrices = weight.reshape(groups, weight.shape[0] // groups, -1)
    out = x.new_empty(x.shape[0], *matrices.shape[:2], *sizes)
    for results, sample in zip(out, windows, strict=True):
        for first, count in _parts(sizes[0], sample.numel() // sizes[0]):
            columns = sample.narrow(2 + len(kernel), first, count).reshape(groups, matrices.shape[2], -1)
            part = results.narrow(2, first, count)
            part.copy_(torch.bmm(matrices, columns).view(part.shape))
    return out.view(x.shape[0], -1, *sizes)


def _scattered(
    x: Tensor,
    weight: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    more: list[int],
    groups: int,
) -> Tensor:
    """A point's product with the weights is what it adds to its window of the results."""
    kernel, points = weight.shape[2:], x.shape[2:]
    sizes = [
        (size - 1) * every + step * (width - 1) + 1 + beyond
        for size, width, every, step, beyond in zip(points, kernel, stride, dilation, more, strict=True)
    ]
    matrices = weight.reshape(groups, weight.shape[0] // groups, -1).mT
    out = x.new_zeros(x.shape[0], groups * weight.shape[1], *sizes)
    taps = list(product(*map(range, kernel)))
    for results, sample in zip(out, x, strict=True):
        for first, count in _parts(points[0], matrices[..., 0].numel() * points[1:].numel()):
            part = sample.narrow(1, first, count)
            added = torch.bmm(matrices, part.reshape(groups, matrices.shape[2], -1))
            added = added.view(results.shape[0], len(taps), *part.shape[1:])
            starts = [first * stride[0], *[0] * (len(kernel) - 1)]
            for index, tap in enumerate(taps):
                window = [
                    slice(start + step * at, start + step * at + (size - 1) * every + 1, every)
                    for start, step, at, size, every in zip(starts, dilation, tap, part.shape[1:], stride, strict=True)
                ]
                results[(slice(None), *window)] += added[:, index]
    inner = [slice(edge, size - edge) for edge, size in zip(padding, sizes, strict=True)]
    return out[(slice(None), slice(None), *inner)].contiguous()


def _parts(rows: int, numbers: int) -> list[tuple[int, int]]:
    """The rows in parts of which the windows, of so many numbers a row, fit into PART_BYTES: the first one and how
    many."""
    step = max(1, PART_BYTES // (8 * max(1, numbers)))
    return [(first, min(step, rows - first)) for first in range(0, rows, step)]
