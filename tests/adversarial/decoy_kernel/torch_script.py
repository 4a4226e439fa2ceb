# family: decoy_kernel
# task: row_rms
# cheat: has torch's own script compiler fuse the operations
# expect: no_kernel, does_not_load
import torch
from torch import nn

@torch.jit.script
def fused(x):
    return torch.sqrt((x * x).mean(dim=-1) + 1e-6)


class ModelNew(nn.Module):
    def forward(self, x):
        return fused(x)
