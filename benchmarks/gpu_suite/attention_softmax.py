"""Scaled and masked attention scores, then softmax: 16 heads, 2,048 queries and keys, float16 (134 MB in and out)."""

import torch
from torch import nn


class Model(nn.Module):
    """softmax(scores * scale + mask) over keys."""

    def forward(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.softmax(scores * 0.125 + mask, dim=-1)


def draw(batch: int, heads: int, length: int) -> list[torch.Tensor]:
    mask = torch.full((length, length), float("-inf"), dtype=torch.float16).triu(1)
    return [torch.randn(batch, heads, length, length, dtype=torch.float16), mask]


def get_inputs() -> list[torch.Tensor]:
    return draw(1, 16, 2048)


def get_cases() -> list[dict]:
    return [
        {"name": "odd_length", "inputs": lambda: draw(2, 3, 77)},
        {"name": "other_length", "role": "held_out", "inputs": lambda: draw(1, 4, 300)},
    ]
