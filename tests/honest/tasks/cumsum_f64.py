"""Running sums in float64 along the last dimension of a transposed matrix."""

import torch
from torch import nn


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cumsum(x, dim=-1)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(512, 512, dtype=torch.float64).t()]


def get_cases() -> list[dict]:
    return [{"name": "odd", "role": "held_out", "inputs": lambda: [torch.randn(77, 13, dtype=torch.float64).t()]}]
