"""Root-mean-square normalisation over rows, float16."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features, dtype=torch.float16))

    def forward(self, x):
        mean = (x.float() * x.float()).mean(-1, keepdim=True)
        return (x.float() * torch.rsqrt(mean + 1e-6)).to(x.dtype) * self.weight


def get_init_inputs():
    return [4096]


def get_inputs():
    return [torch.randn(4096, 4096, dtype=torch.float16)]


def get_cases():
    return [
        {"name": "few", "role": "check", "inputs": lambda: [torch.randn(33, 4096, dtype=torch.float16)]},
        {"name": "odd", "role": "held_out", "inputs": lambda: [torch.randn(3, 7, 4096, dtype=torch.float16)]},
    ]
