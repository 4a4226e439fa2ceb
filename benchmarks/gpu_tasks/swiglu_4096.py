"""SwiGLU feed-forward, 4096 rows of 4096 to 11008 and back, bfloat16."""

import torch
from torch import nn
from torch.nn import functional as F


class Model(nn.Module):
    def forward(self, x, gate, up, down):
        return F.linear(F.silu(F.linear(x, gate)) * F.linear(x, up), down)


def get_init_inputs():
    return []


def get_inputs():
    def weight(rows, columns):
        return torch.randn(rows, columns, dtype=torch.bfloat16) / columns**0.5

    return [
        torch.randn(4096, 4096, dtype=torch.bfloat16),
        weight(11008, 4096),
        weight(11008, 4096),
        weight(4096, 11008),
    ]
