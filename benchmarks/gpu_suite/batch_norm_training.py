"""Batch norm in training, running statistics included: 64 x 64 x 112 x 112, float32 (206 MB in and out)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """Normalises with the batch's statistics and updates the running ones."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.norm(x))


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(64, 64, 112, 112)]


def get_init_inputs() -> list[int]:
    return [64]


def get_cases() -> list[dict]:
    return [{"name": "odd_size", "role": "held_out", "inputs": lambda: [torch.randn(5, 64, 9, 11)]}]
