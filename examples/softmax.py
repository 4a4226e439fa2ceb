"""Softmax over rows of 8,192 elements, 67 MB of them."""

import torch
from torch import nn


class Model(nn.Module):
    """Softmax over the last dimension."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Takes and returns (rows, columns)."""
        return torch.softmax(x, dim=-1)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(2048, 8192)]


def get_cases() -> list[dict]:
    return [
        {"name": "short_rows", "inputs": lambda: [torch.randn(513, 7)]},
        {"name": "odd_rows", "inputs": lambda: [torch.randn(33, 1021)]},
        {"name": "long_rows", "role": "held_out", "inputs": lambda: [torch.randn(5, 50257)]},
    ]
