"""The first half of a transformer's MLP: 8,192 tokens, 1,024 to 4,096 features, float16 (69 GFLOP)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """gelu(x W^T + b)."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1024, 4096, dtype=torch.float16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.gelu(self.linear(x))


def draw(tokens: int) -> list[torch.Tensor]:
    return [torch.randn(tokens, 1024, dtype=torch.float16)]


def get_inputs() -> list[torch.Tensor]:
    return draw(8192)


def get_cases() -> list[dict]:
    return [
        {"name": "few_tokens", "inputs": lambda: draw(33)},
        {"name": "other_tokens", "role": "held_out", "inputs": lambda: draw(300)},
    ]
