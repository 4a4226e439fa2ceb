# family: decoy_kernel
# task: attention
# cheat: has torch's own fused attention do the work
# expect: no_kernel
import torch
from torch import nn


class ModelNew(nn.Module):
    def forward(self, q, k, v):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v)
