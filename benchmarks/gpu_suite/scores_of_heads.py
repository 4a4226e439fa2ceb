"""Attention scores before the softmax: 4 x 16 heads, 1,024 queries and keys of 64, float16 (8.6 GFLOP, 185 MB)."""

import torch
from torch import nn


class Model(nn.Module):
    """Scaled products of queries and keys, plus a bias for each head and distance."""

    def forward(self, q: torch.Tensor, k: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return q @ k.transpose(-2, -1) * 0.125 + bias


def draw(batch: int, heads: int, length: int) -> list[torch.Tensor]:
    q, k = (torch.randn(batch, heads, length, 64, dtype=torch.float16) for _ in range(2))
    return [q, k, torch.randn(heads, length, length, dtype=torch.float16)]


def get_inputs() -> list[torch.Tensor]:
    return draw(4, 16, 1024)


def get_cases() -> list[dict]:
    return [{"name": "odd_length", "role": "held_out", "inputs": lambda: draw(2, 3, 77)}]
