"""What two tall matrices have in common: 64 by 64 from 524,288 rows, few results of long sums, float32 (268 MB)."""

import torch
from torch import nn


class Model(nn.Module):
    """x^T y."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.T @ y


def draw(rows: int, width: int) -> list[torch.Tensor]:
    return [torch.randn(rows, width), torch.randn(rows, width)]


def get_inputs() -> list[torch.Tensor]:
    return draw(524288, 64)


def get_cases() -> list[dict]:
    return [{"name": "few_rows", "role": "held_out", "inputs": lambda: draw(1001, 24)}]
