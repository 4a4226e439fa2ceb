"""Rotary position embedding of queries, half-rotation form: 2 x 16 heads, 2,048 positions, width 128 (34 MB)."""

import torch
from torch import nn


class Model(nn.Module):
    """q * cos + rotate_half(q) * sin."""

    def forward(self, q: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        half = q.shape[-1] // 2
        rotated = torch.cat((-q[..., half:], q[..., :half]), dim=-1)
        return q * cos + rotated * sin


def draw(batch: int, heads: int, length: int, width: int) -> list[torch.Tensor]:
    return [torch.randn(batch, heads, length, width), torch.randn(length, width), torch.randn(length, width)]


def get_inputs() -> list[torch.Tensor]:
    return draw(2, 16, 2048, 128)


def get_cases() -> list[dict]:
    return [{"name": "narrow", "role": "held_out", "inputs": lambda: draw(1, 3, 77, 20)}]
