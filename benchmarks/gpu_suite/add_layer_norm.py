"""Residual addition, then layer norm; both are results. 8,192 tokens of width 4,096, float16 (67 MB each of 4)."""

import torch
from torch import nn


class Model(nn.Module):
    """h = x + residual, and the layer norm of h."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, dtype=torch.float16)

    def forward(self, x: torch.Tensor, residual: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = x + residual
        return h, self.norm(h)


def draw(tokens: int) -> list[torch.Tensor]:
    return [torch.randn(tokens, 4096, dtype=torch.float16) for _ in range(2)]


def get_inputs() -> list[torch.Tensor]:
    return draw(8192)


def get_init_inputs() -> list[int]:
    return [4096]


def get_cases() -> list[dict]:
    return [
        {"name": "one_token", "inputs": lambda: draw(1)},
        {"name": "odd_tokens", "role": "held_out", "inputs": lambda: draw(333)},
    ]
