"""A GEGLU gate with the tanh form of GELU, 16,384 tokens, width 4,096, bfloat16 (134 MB each of 3)."""

import torch
from torch import nn


class Model(nn.Module):
    """gelu(gate) * up + bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width, dtype=torch.bfloat16))

    def forward(self, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        inner = 0.7978845608 * (gate + 0.044715 * gate * gate * gate)
        return 0.5 * gate * (1 + torch.tanh(inner)) * up + self.bias


def draw(tokens: int) -> list[torch.Tensor]:
    return [torch.randn(tokens, 4096, dtype=torch.bfloat16) for _ in range(2)]


def get_inputs() -> list[torch.Tensor]:
    return draw(16384)


def get_init_inputs() -> list[int]:
    return [4096]


def get_cases() -> list[dict]:
    return [{"name": "odd_tokens", "role": "held_out", "inputs": lambda: draw(101)}]
