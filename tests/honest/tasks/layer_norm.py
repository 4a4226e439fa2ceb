"""Layer norm over 768 features, with a learned scale and shift."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(1024, 768)]


def get_init_inputs() -> list[int]:
    return [768]


def get_cases() -> list[dict]:
    return [{"name": "odd_rows", "role": "held_out", "inputs": lambda: [torch.randn(3, 11, 768)]}]
