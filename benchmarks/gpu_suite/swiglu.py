"""The gate of a SwiGLU MLP, halves of one projection: 4,096 tokens, width 14,336, bfloat16 (235 MB in, 117 MB out)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """silu(first half) * second half."""

    def forward(self, projected: torch.Tensor) -> torch.Tensor:
        gate, up = projected.chunk(2, dim=-1)
        return F.silu(gate) * up


def draw(tokens: int, width: int) -> list[torch.Tensor]:
    return [torch.randn(tokens, 2 * width, dtype=torch.bfloat16)]


def get_inputs() -> list[torch.Tensor]:
    return draw(4096, 14336)


def get_cases() -> list[dict]:
    return [
        {"name": "narrow", "inputs": lambda: draw(65, 99)},
        {"name": "other_width", "role": "held_out", "inputs": lambda: draw(127, 1000)},
    ]
