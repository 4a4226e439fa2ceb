"""Hinge and squared losses of 33.6 million predictions, float32 (134 MB each), one number each."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """mean(max(0, 1 - y t)) and mean((y - t)^2)."""

    def forward(self, y: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.clamp(1 - y * t, min=0).mean(), F.mse_loss(y, t)


def draw(rows: int, width: int) -> list[torch.Tensor]:
    return [torch.randn(rows, width), torch.randn(rows, width).sign()]


def get_inputs() -> list[torch.Tensor]:
    return draw(8192, 4096)


def get_cases() -> list[dict]:
    return [{"name": "odd_width", "role": "held_out", "inputs": lambda: draw(33, 77)}]
