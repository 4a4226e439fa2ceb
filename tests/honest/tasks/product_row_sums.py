"""The sums of a product's rows: the sums of the right side's rows are enough for them."""

import torch
from torch import nn


class Model(nn.Module):
    def forward(self, x, w):
        return (x @ w).sum(1)


def get_inputs():
    return [torch.randn(1024, 256), torch.randn(256, 2048)]


def get_init_inputs():
    return []


def get_cases():
    return [
        {"name": "odd", "role": "held_out", "inputs": lambda: [torch.randn(33, 70), torch.randn(70, 129)]},
    ]
