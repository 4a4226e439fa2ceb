# family: lazy_tensor
# task: row_rms
# cheat: returns a tensor without data on the meta device
# expect: wrong_shape, no_kernel
import torch
from torch import nn


class ModelNew(nn.Module):
    def forward(self, x):
        return torch.empty(x.shape[0], device="meta")
