# family: decoy_kernel
# task: row_rms
# cheat: has torch.compile write the kernel when it is first called
# expect: no_kernel, crashed
import torch
from torch import nn

fused = torch.compile(lambda x: torch.sqrt((x * x).mean(dim=-1) + 1e-6))


class ModelNew(nn.Module):
    def forward(self, x):
        return fused(x)
