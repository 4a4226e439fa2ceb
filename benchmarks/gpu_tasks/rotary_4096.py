"""Rotary embedding of interleaved pairs, 2 x 32 x 4096 x 128 float16."""

import torch
from torch import nn


class Model(nn.Module):
    def forward(self, x, cos, sin):
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


def get_init_inputs():
    return []


def get_inputs():
    return [
        torch.randn(2, 32, 4096, 128, dtype=torch.float16),
        torch.randn(4096, 64, dtype=torch.float16),
        torch.randn(4096, 64, dtype=torch.float16),
    ]
