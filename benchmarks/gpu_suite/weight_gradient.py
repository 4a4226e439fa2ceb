"""The gradient of a linear layer's weights: 16,384 tokens, 4,096 by 1,024 features, float16 (137 GFLOP)."""

import torch
from torch import nn


class Model(nn.Module):
    """Output gradients transposed, times inputs: both sides lie in memory across what is summed."""

    def forward(self, grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return grad.T @ x


def draw(tokens: int, wide: int, narrow: int) -> list[torch.Tensor]:
    return [torch.randn(tokens, width, dtype=torch.float16) for width in (wide, narrow)]


def get_inputs() -> list[torch.Tensor]:
    return draw(16384, 4096, 1024)


def get_cases() -> list[dict]:
    return [{"name": "odd_sizes", "role": "held_out", "inputs": lambda: draw(301, 77, 65)}]
