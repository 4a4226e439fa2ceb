"""A decoder's transposed convolution: 4 x 4, stride 2, 128 channels, 32 images of 64 x 64, float16 (69 GFLOP)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """leaky_relu(conv(x))."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(128, 128, 4, stride=2, padding=1, dtype=torch.float16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.leaky_relu(self.conv(x), 0.2)


def draw(images: int) -> list[torch.Tensor]:
    return [torch.randn(images, 128, 64, 64, dtype=torch.float16)]


def get_inputs() -> list[torch.Tensor]:
    return draw(32)


def get_cases() -> list[dict]:
    return [{"name": "one_image", "role": "held_out", "inputs": lambda: draw(1)}]
