"""3 x 3 maxima with stride 2 after a ReLU, an image network's stem: 64 x 64 x 112 x 112, float16 (103 MB)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """max_pool(relu(x))."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(torch.relu(x), 3, stride=2, padding=1)


def draw(images: int, size: int) -> list[torch.Tensor]:
    return [torch.randn(images, 64, size, size, dtype=torch.float16)]


def get_inputs() -> list[torch.Tensor]:
    return draw(64, 112)


def get_cases() -> list[dict]:
    return [{"name": "odd_size", "role": "held_out", "inputs": lambda: draw(2, 37)}]
