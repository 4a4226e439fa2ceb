"""Rotary position embedding of queries, half-rotation form: 4 x 32 heads, 4,096 positions of 128, bfloat16 (134 MB)."""

import torch
from torch import nn


class Model(nn.Module):
    """q * cos + rotate_half(q) * sin."""

    def forward(self, q: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        half = q.shape[-1] // 2
        rotated = torch.cat((-q[..., half:], q[..., :half]), dim=-1)
        return q * cos + rotated * sin


def draw(batch: int, heads: int, length: int, width: int) -> list[torch.Tensor]:
    return [torch.randn(*outer, length, width, dtype=torch.bfloat16) for outer in ((batch, heads), (), ())]


def get_inputs() -> list[torch.Tensor]:
    return draw(4, 32, 4096, 128)


def get_cases() -> list[dict]:
    return [{"name": "narrow", "role": "held_out", "inputs": lambda: draw(1, 3, 77, 20)}]
