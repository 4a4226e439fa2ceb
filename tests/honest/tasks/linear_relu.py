"""A linear layer and ReLU: 384 rows, 256 features to 320."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, features: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.linear(x))


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(384, 256)]


def get_init_inputs() -> list[int]:
    return [256, 320]


def get_cases() -> list[dict]:
    return [
        {"name": "one_row", "inputs": lambda: [torch.randn(1, 256)]},
        {"name": "odd_rows", "role": "held_out", "inputs": lambda: [torch.randn(37, 256)]},
    ]
