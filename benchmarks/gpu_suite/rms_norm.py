"""RMS norm as language models write it: 16,384 tokens of width 4,096, float16 (134 MB in and out)."""

import torch
from torch import nn


class Model(nn.Module):
    """x / rms(x) * weight over the last dimension."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width, dtype=torch.float16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(16384, 4096, dtype=torch.float16)]


def get_init_inputs() -> list[int]:
    return [4096]


def get_cases() -> list[dict]:
    return [
        {"name": "few_rows", "inputs": lambda: [torch.randn(3, 4096, dtype=torch.float16)]},
        {"name": "odd_rows", "role": "held_out", "inputs": lambda: [torch.randn(1021, 4096, dtype=torch.float16)]},
    ]
