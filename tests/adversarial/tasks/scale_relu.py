"""Elementwise with weights."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        return torch.relu(x * self.weight + self.bias)


def get_inputs():
    return [torch.rand(512, 1024)]


def get_init_inputs():
    return [1024]


def get_cases():
    return [
        {"name": "one row", "role": "check", "inputs": lambda: [torch.rand(1, 1024)]},
        {"name": "secret", "role": "held_out", "inputs": lambda: [torch.rand(77, 1024)]},
    ]
