"""A reduction of rows."""

import torch
from torch import nn


class Model(nn.Module):
    def forward(self, x):
        return torch.sqrt((x * x).mean(dim=-1) + 1e-6)


def get_inputs():
    return [torch.rand(1024, 1024)]


def get_init_inputs():
    return []


def get_cases():
    return [{"name": "secret", "role": "held_out", "inputs": lambda: [torch.rand(33, 515)]}]
