"""2 x 2 x 2 means of volumes: 8 of 32 channels, 64 x 64 x 64, float32 (268 MB)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """avg_pool(x)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool3d(x, 2)


def draw(volumes: int, size: int) -> list[torch.Tensor]:
    return [torch.randn(volumes, 32, size, size, size)]


def get_inputs() -> list[torch.Tensor]:
    return draw(8, 64)


def get_cases() -> list[dict]:
    return [{"name": "odd_size", "role": "held_out", "inputs": lambda: draw(1, 22)}]
