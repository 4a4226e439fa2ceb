"""An activation beside which a moving average of its squares is kept: half of the work is state."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, rows, width):
        super().__init__()
        self.register_buffer("power", torch.zeros(rows, width))

    def forward(self, x):
        self.power.mul_(0.9).add_(x * x, alpha=0.1)
        return torch.relu(x)


def get_inputs():
    return [torch.rand(512, 1024)]


def get_init_inputs():
    return [512, 1024]
