"""Exclusive running sums along rows, masked: 4,096 x 8,192, float32 (134 MB each of values and result)."""

import torch
from torch import nn


class Model(nn.Module):
    """What the values before each position sum to, where the mask counts them."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        counted = torch.where(mask, x, 0.0)
        return counted.cumsum(-1) - counted


def draw(rows: int, width: int) -> list[torch.Tensor]:
    return [torch.randn(rows, width), torch.rand(rows, width) < 0.7]


def get_inputs() -> list[torch.Tensor]:
    return draw(4096, 8192)


def get_cases() -> list[dict]:
    return [{"name": "odd_width", "role": "held_out", "inputs": lambda: draw(33, 1021)}]
