"""Softmax over rows, float32."""

import torch
from torch import nn


class Model(nn.Module):
    def forward(self, x):
        return torch.softmax(x, -1)


def get_init_inputs():
    return []


def get_inputs():
    return [torch.randn(1024, 2048)]


def get_cases():
    return [
        {"name": "narrow", "role": "check", "inputs": lambda: [torch.randn(7, 100)]},
        {"name": "odd", "role": "held_out", "inputs": lambda: [torch.randn(13, 1999)]},
    ]
