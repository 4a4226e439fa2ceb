"""Scales every feature and adds a table of positions; returns the parameter and the part of the table used, too."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.register_buffer("table", torch.sin(torch.arange(positions * width, dtype=torch.float32)).view(-1, width))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        used = self.table[: x.shape[0]]
        return x * self.scale + used, self.scale, used


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(256, 2048)]


def get_init_inputs() -> list[int]:
    return [256, 2048]


def get_cases() -> list[dict]:
    return [
        {"name": "double", "inputs": lambda: [torch.randn(31, 2048)], "dtype": "float64"},
        {"name": "odd_rows", "role": "held_out", "inputs": lambda: [torch.randn(7, 2048)]},
    ]
