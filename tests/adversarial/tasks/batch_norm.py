"""Normalisation with weights and running statistics."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x):
        return self.norm(x)


def get_inputs():
    return [torch.rand(2048, 256)]


def get_init_inputs():
    return [256]


def get_cases():
    return [{"name": "secret", "role": "held_out", "inputs": lambda: [torch.rand(100, 256)]}]
