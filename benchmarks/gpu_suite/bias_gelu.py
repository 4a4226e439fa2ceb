"""A learned bias, then GELU in its exact form: the middle of an MLP, 8,192 x 8,192, float16 (134 MB in and out)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """gelu(x + bias)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width, dtype=torch.float16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.gelu(x + self.bias)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(8192, 8192, dtype=torch.float16)]


def get_init_inputs() -> list[int]:
    return [8192]


def get_cases() -> list[dict]:
    return [{"name": "odd_rows", "role": "held_out", "inputs": lambda: [torch.randn(77, 8192, dtype=torch.float16)]}]
