"""Softmax over rows of 1,000 elements."""

import torch
from torch import nn


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x, dim=-1)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(1024, 1000)]


def get_cases() -> list[dict]:
    return [
        {"name": "short_rows", "inputs": lambda: [torch.randn(33, 7)]},
        {"name": "odd_rows", "role": "held_out", "inputs": lambda: [torch.randn(5, 1021)]},
    ]
