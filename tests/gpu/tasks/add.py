"""A sum of two tensors, small: 5 µs on a fast device."""

import torch
from torch import nn


class Model(nn.Module):
    def forward(self, a, b):
        return a + b


def get_init_inputs():
    return []


def get_inputs():
    return [torch.randn(1 << 20), torch.randn(1 << 20)]


def get_cases():
    return [
        {"name": "odd", "role": "held_out", "inputs": lambda: [torch.randn(100_003), torch.randn(100_003)]},
    ]
