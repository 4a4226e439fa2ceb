"""The gradient of a linear layer's weights: 4,096 tokens, 1,024 by 768 features (6.4 GFLOP)."""

import torch
from torch import nn


class Model(nn.Module):
    """Output gradients transposed, times inputs: both sides lie in memory across what is summed."""

    def forward(self, grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return grad.T @ x


def draw(tokens: int, wide: int, narrow: int) -> list[torch.Tensor]:
    return [torch.randn(tokens, wide), torch.randn(tokens, narrow)]


def get_inputs() -> list[torch.Tensor]:
    return draw(4096, 1024, 768)


def get_cases() -> list[dict]:
    return [{"name": "odd_sizes", "role": "held_out", "inputs": lambda: draw(301, 77, 65)}]
