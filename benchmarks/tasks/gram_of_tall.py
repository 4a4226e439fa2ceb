"""What two tall matrices have in common: 64 by 64 from 262,144 rows, few results of long sums (2.1 GFLOP, 134 MB)."""

import torch
from torch import nn


class Model(nn.Module):
    """x^T y."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.T @ y


def draw(rows: int, width: int) -> list[torch.Tensor]:
    return [torch.randn(rows, width), torch.randn(rows, width)]


def get_inputs() -> list[torch.Tensor]:
    return draw(262144, 64)


def get_cases() -> list[dict]:
    return [{"name": "few_rows", "role": "held_out", "inputs": lambda: draw(1001, 24)}]
