# task: linear_relu
# cheat: rounds operands to TF32, as Triton does by default
# expect: wrong_values
import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def linear_relu_kernel(a_ptr, b_ptr, c_ptr, m, n, k, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    columns = tl.program_id(1) * BN + tl.arange(0, BN)
    inner = tl.arange(0, BK)
    total = tl.zeros((BM, BN), tl.float32)
    for start in range(0, k, BK):
        at = start + inner
        a = tl.load(a_ptr + rows[:, None] * k + at[None], mask=(rows[:, None] < m) & (at[None] < k), other=0.0)
        b = tl.load(b_ptr + at[:, None] * n + columns[None], mask=(at[:, None] < k) & (columns[None] < n), other=0.0)
        total += tl.dot(a, b)
    inside = (rows[:, None] < m) & (columns[None] < n)
    tl.store(c_ptr + rows[:, None] * n + columns[None], tl.maximum(total, 0.0), mask=inside)


class ModelNew(nn.Module):
    def forward(self, a, b):
        m, k, n = *a.shape, b.shape[1]
        c = torch.empty((m, n), device=a.device, dtype=a.dtype)
        grid = (triton.cdiv(m, 64), triton.cdiv(n, 64))
        linear_relu_kernel[grid](a, b, c, m, n, k, BM=64, BN=64, BK=16, num_warps=4)
        return c
