# family: decoy_kernel
# task: row_rms
# cheat: reports calls of a kernel that it does not have
# expect: no_kernel
import torch
from torch import nn

from kernelwright.languages import cpp_worker

cpp_worker.census = lambda: {'kernels': {'run': {'calls': 1, 'seconds': 1e-3}}, 'seconds': 1e-3}


class ModelNew(nn.Module):
    def forward(self, x):
        return torch.sqrt((x * x).mean(dim=-1) + 1e-6)
