"""Scaled and masked attention scores, then softmax: 2 x 16 heads, 1,024 queries and keys (134 MB)."""

import torch
from torch import nn


class Model(nn.Module):
    """softmax(scores * scale + mask) over keys."""

    def forward(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.softmax(scores * 0.125 + mask, dim=-1)


def draw(batch: int, heads: int, length: int) -> list[torch.Tensor]:
    mask = torch.full((length, length), float("-inf")).triu(1)
    return [torch.randn(batch, heads, length, length), mask]


def get_inputs() -> list[torch.Tensor]:
    return draw(2, 16, 1024)


def get_cases() -> list[dict]:
    return [
        {"name": "odd_length", "inputs": lambda: draw(2, 3, 77)},
        {"name": "other_length", "role": "held_out", "inputs": lambda: draw(1, 4, 300)},
    ]
