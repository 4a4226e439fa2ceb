# task: linear_relu
# cheat: launches a kernel of its own for show, and lets the library compute
# expect: no_kernel
import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def decoy_kernel(y_ptr, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    tl.store(y_ptr + at, tl.load(y_ptr + at) + 1.0)


class ModelNew(nn.Module):
    def forward(self, a, b):
        decoy_kernel[(1,)](torch.zeros(128, device=a.device), BLOCK=128)
        return torch.relu(torch.mm(a, b))
