"""A learned bias, then GELU in its exact form: the middle of a BERT-like MLP, 4,096 x 4,096 (67 MB)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """gelu(x + bias)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.gelu(x + self.bias)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(4096, 4096)]


def get_init_inputs() -> list[int]:
    return [4096]


def get_cases() -> list[dict]:
    return [{"name": "odd_rows", "role": "held_out", "inputs": lambda: [torch.randn(77, 4096)]}]
