"""Twice as many pixels each way, bilinear: 8 images of 64 channels, 64 x 64 (8 MB in, 34 MB out)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """interpolate(x), corners not aligned."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def draw(images: int, size: int) -> list[torch.Tensor]:
    return [torch.randn(images, 64, size, size)]


def get_inputs() -> list[torch.Tensor]:
    return draw(8, 64)


def get_cases() -> list[dict]:
    return [{"name": "odd_size", "role": "held_out", "inputs": lambda: draw(2, 37)}]
