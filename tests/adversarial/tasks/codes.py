"""Floats to integer codes: the output is exact."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def forward(self, x):
        return torch.clamp(torch.round(x / self.step), -127, 127).to(torch.int32)


def get_inputs():
    return [torch.rand(512, 1024)]


def get_init_inputs():
    return [0.03125]


def get_cases():
    return [{"name": "secret", "role": "held_out", "inputs": lambda: [torch.rand(7, 333)]}]
