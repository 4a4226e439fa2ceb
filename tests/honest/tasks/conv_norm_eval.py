"""A 3 x 3 convolution, batch norm with fixed statistics, ReLU."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inward, outward, 3, padding=1)
        self.norm = nn.BatchNorm2d(outward)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.conv(x)))


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(4, 8, 48, 48)]


def get_init_inputs() -> list[int]:
    return [8, 16]


def get_cases() -> list[dict]:
    return [{"name": "odd_size", "role": "held_out", "inputs": lambda: [torch.randn(1, 8, 9, 13)]}]
