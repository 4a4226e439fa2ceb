"""The first half of a transformer's MLP: 2,048 tokens, 1,024 to 4,096 features (17 GFLOP)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """gelu(x W^T + b)."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1024, 4096)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.gelu(self.linear(x))


def draw(tokens: int) -> list[torch.Tensor]:
    return [torch.randn(tokens, 1024)]


def get_inputs() -> list[torch.Tensor]:
    return draw(2048)


def get_cases() -> list[dict]:
    return [
        {"name": "few_tokens", "inputs": lambda: draw(33)},
        {"name": "other_tokens", "role": "held_out", "inputs": lambda: draw(300)},
    ]
