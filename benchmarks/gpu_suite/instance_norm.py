"""Instance norm and leaky ReLU: 16 images of 64 channels, 256 x 256, float16 (134 MB in and out)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """leaky_relu(norm(x)), each channel of each image by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(64, affine=True, dtype=torch.float16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.leaky_relu(self.norm(x), 0.2)


def draw(images: int, size: int) -> list[torch.Tensor]:
    return [torch.randn(images, 64, size, size, dtype=torch.float16)]


def get_inputs() -> list[torch.Tensor]:
    return draw(16, 256)


def get_cases() -> list[dict]:
    return [{"name": "odd_size", "role": "held_out", "inputs": lambda: draw(2, 37)}]
