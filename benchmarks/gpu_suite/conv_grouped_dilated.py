"""A grouped convolution with stride and dilation: 256 channels in 4 groups, 32 x 112 x 112, float16 (30 GFLOP)."""

import torch
from torch import nn


class Model(nn.Module):
    """conv(x), bias included."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(256, 256, 3, stride=2, padding=2, dilation=2, groups=4, dtype=torch.float16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


def draw(images: int) -> list[torch.Tensor]:
    return [torch.randn(images, 256, 112, 112, dtype=torch.float16)]


def get_inputs() -> list[torch.Tensor]:
    return draw(32)


def get_cases() -> list[dict]:
    return [{"name": "one_image", "role": "held_out", "inputs": lambda: draw(1)}]
