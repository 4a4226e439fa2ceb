"""A matrix product with weights."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, inward, outward):
        super().__init__()
        self.linear = nn.Linear(inward, outward)

    def forward(self, x):
        return torch.relu(self.linear(x))


def get_inputs():
    return [torch.rand(256, 512)]


def get_init_inputs():
    return [512, 512]


def get_cases():
    return [{"name": "secret", "role": "held_out", "inputs": lambda: [torch.rand(19, 512)]}]
