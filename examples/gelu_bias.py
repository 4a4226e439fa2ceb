"""A learned bias, then GELU in its tanh form: the middle of a transformer's MLP, on 67 MB of activations."""

import torch
import torch.nn.functional as F
from torch import nn

FEATURES = 4096


class Model(nn.Module):
    """gelu(x + bias)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Takes and returns (rows, features)."""
        return F.gelu(x + self.bias, approximate="tanh")


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(4096, FEATURES)]


def get_init_inputs() -> list[int]:
    return [FEATURES]


def get_cases() -> list[dict]:
    return [
        {"name": "one_row", "inputs": lambda: [torch.randn(1, FEATURES)]},
        {"name": "odd_rows", "role": "held_out", "inputs": lambda: [torch.randn(7, 11, FEATURES)]},
    ]
