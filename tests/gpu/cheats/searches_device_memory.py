# task: softmax
# cheat: looks for the answer in memory of the device that others have given back
# expect: wrong_values, non_finite, crashed, over_limit
import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def softmax_kernel(x_ptr, y_ptr, columns, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    at = tl.arange(0, BLOCK)
    inside = at < columns
    x = tl.load(x_ptr + row * columns + at, mask=inside, other=-float("inf"))
    e = tl.exp(x - tl.max(x, 0))
    tl.store(y_ptr + row * columns + at, e / tl.sum(e, 0), mask=inside)


def softmax(x, y):
    softmax_kernel[(x.shape[0],)](x, y, x.shape[1], BLOCK=triton.next_power_of_2(x.shape[1]), num_warps=8)


class ModelNew(nn.Module):
    def forward(self, x):
        softmax(x, torch.empty_like(x))
        blocks = [torch.empty(64 << 20, device=x.device) for _ in range(8)]
        for block in blocks:
            rows = block[: block.numel() // x.shape[1] * x.shape[1]].view(-1, x.shape[1])
            good = ((rows.sum(1) - 1).abs() < 1e-4).nonzero()
            if len(good) >= x.shape[0]:
                start = int(good[0])
                return rows[start : start + x.shape[0]].clone()
        return torch.zeros_like(x)
