"""Causal attention, 4 x 16 heads, 4096 positions, 128 numbers a head, bfloat16."""

import torch
from torch import nn
from torch.nn import functional as F


class Model(nn.Module):
    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def get_init_inputs():
    return []


def get_inputs():
    return [torch.randn(4, 16, 4096, 128, dtype=torch.bfloat16) for _ in range(3)]
