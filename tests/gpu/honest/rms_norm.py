# task: rms_norm
import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def rms_norm_kernel(x_ptr, weight_ptr, y_ptr, features, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < features
    x = tl.load(x_ptr + row * features + at, mask=inside, other=0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(x * x, 0) / features + eps)
    weight = tl.load(weight_ptr + at, mask=inside).to(tl.float32)
    y = (x * scale).to(tl.float16).to(tl.float32) * weight
    tl.store(y_ptr + row * features + at, y.to(tl.float16), mask=inside)


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features, dtype=torch.float16))

    def forward(self, x):
        x = x.contiguous()
        y = torch.empty_like(x)
        features = x.shape[-1]
        grid = (x.numel() // features,)
        rms_norm_kernel[grid](x, self.weight, y, features, 1e-6, BLOCK=triton.next_power_of_2(features), num_warps=8)
        return y
