"""A layer norm over the channels of images as they lie in memory: 32 of 96 channels, 112 x 112, float32 (154 MB)."""

import torch
from torch import nn


class Model(nn.Module):
    """(x - mean) / sqrt(var + eps) over channels, scaled and shifted."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(96, 1, 1))
        self.shift = nn.Parameter(torch.zeros(96, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        return (x - mean) * torch.rsqrt(variance + 1e-6) * self.scale + self.shift


def draw(images: int, size: int) -> list[torch.Tensor]:
    return [torch.randn(images, 96, size, size)]


def get_inputs() -> list[torch.Tensor]:
    return draw(32, 112)


def get_cases() -> list[dict]:
    return [{"name": "odd_size", "role": "held_out", "inputs": lambda: draw(2, 37)}]
