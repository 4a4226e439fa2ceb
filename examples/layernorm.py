"""LayerNorm over the last dimension, with a learned scale and shift, on 67 MB of activations."""

import torch
from torch import nn

FEATURES = 2048


class Model(nn.Module):
    """Each row minus its mean, over its standard deviation, scaled and shifted."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Takes and returns (batch, steps, features)."""
        return self.norm(x)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(16, 512, FEATURES)]


def get_init_inputs() -> list[int]:
    return [FEATURES]


def get_cases() -> list[dict]:
    return [
        {"name": "one_row", "inputs": lambda: [torch.randn(1, FEATURES)]},
        {"name": "odd_rows", "role": "held_out", "inputs": lambda: [torch.randn(3, 43, FEATURES)]},
    ]
