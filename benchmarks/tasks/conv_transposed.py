"""A decoder's transposed convolution: 4 x 4 with stride 2, 64 channels, 8 images of 32 x 32 to 64 x 64 (1.1 GFLOP)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """leaky_relu(conv(x))."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(64, 64, 4, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.leaky_relu(self.conv(x), 0.2)


def draw(images: int) -> list[torch.Tensor]:
    return [torch.randn(images, 64, 32, 32)]


def get_inputs() -> list[torch.Tensor]:
    return draw(8)


def get_cases() -> list[dict]:
    return [{"name": "one_image", "role": "held_out", "inputs": lambda: draw(1)}]
