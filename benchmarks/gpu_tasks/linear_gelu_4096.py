"""Matrix product with bias and GELU, 4096 x 4096 x 4096 float16."""

import torch
from torch import nn
from torch.nn import functional as F


class Model(nn.Module):
    def forward(self, x, weight, bias):
        return F.gelu(F.linear(x, weight, bias))


def get_init_inputs():
    return []


def get_inputs():
    x, weight = torch.randn(4096, 4096, dtype=torch.float16), torch.randn(4096, 4096, dtype=torch.float16)
    return [x, weight / 64, torch.randn(4096, dtype=torch.float16)]
