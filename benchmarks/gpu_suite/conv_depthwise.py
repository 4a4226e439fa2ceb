"""A mobile network's depthwise convolution: 96 channels, 64 images of 112 x 112, float16 (154 MB in and out)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """relu6(conv(x)), each channel by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(96, 96, 3, padding=1, groups=96, dtype=torch.float16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu6(self.conv(x))


def draw(images: int) -> list[torch.Tensor]:
    return [torch.randn(images, 96, 112, 112, dtype=torch.float16)]


def get_inputs() -> list[torch.Tensor]:
    return draw(64)


def get_cases() -> list[dict]:
    return [{"name": "one_image", "role": "held_out", "inputs": lambda: draw(1)}]
