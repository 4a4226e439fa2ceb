"""RMS norm as language models write it: 4,096 tokens of width 4,096 (67 MB)."""

import torch
from torch import nn


class Model(nn.Module):
    """x / rms(x) * weight over the last dimension."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(4096, 4096)]


def get_init_inputs() -> list[int]:
    return [4096]


def get_cases() -> list[dict]:
    return [
        {"name": "few_rows", "inputs": lambda: [torch.randn(3, 4096)]},
        {"name": "odd_rows", "role": "held_out", "inputs": lambda: [torch.randn(1021, 4096)]},
    ]
