"""Batch norm in training, running statistics included."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(16, 32, 28, 28)]


def get_init_inputs() -> list[int]:
    return [32]


def get_cases() -> list[dict]:
    return [{"name": "odd_size", "role": "held_out", "inputs": lambda: [torch.randn(3, 32, 5, 7)]}]
