"""relu(a @ b), float32: TF32 is not allowed."""

import torch
from torch import nn


class Model(nn.Module):
    def forward(self, a, b):
        return torch.relu(a @ b)


def get_init_inputs():
    return []


def get_inputs():
    return [torch.rand(1024, 1024) - 0.5, torch.rand(1024, 1024) - 0.5]


def get_cases():
    return [
        {"name": "odd", "role": "held_out", "inputs": lambda: [torch.rand(192, 320) - 0.5, torch.rand(320, 64) - 0.5]},
    ]
