"""The gate of a SwiGLU MLP: silu(gate) * up on the two halves of one projection, 4,096 tokens, hidden width 5,504 (180
MB)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """silu(first half) * second half."""

    def forward(self, projected: torch.Tensor) -> torch.Tensor:
        gate, up = projected.chunk(2, dim=-1)
        return F.silu(gate) * up


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(4096, 2 * 5504)]


def get_cases() -> list[dict]:
    return [
        {"name": "narrow", "inputs": lambda: [torch.randn(65, 2 * 99)]},
        {"name": "other_width", "role": "held_out", "inputs": lambda: [torch.randn(127, 2 * 1000)]},
    ]
