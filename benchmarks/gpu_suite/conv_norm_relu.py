"""A residual network's block: 3 x 3 convolution, batch norm, ReLU; 64 x 128 x 56 x 56, float16 (59 GFLOP)."""

import torch
from torch import nn


class Model(nn.Module):
    """relu(norm(conv(x))), with the norm's statistics as they were found in training."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(128, 128, 3, padding=1, bias=False, dtype=torch.float16)
        self.norm = nn.BatchNorm2d(128, dtype=torch.float16)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.conv(x)))


def draw(images: int) -> list[torch.Tensor]:
    return [torch.randn(images, 128, 56, 56, dtype=torch.float16)]


def get_inputs() -> list[torch.Tensor]:
    return draw(64)


def get_cases() -> list[dict]:
    return [{"name": "one_image", "role": "held_out", "inputs": lambda: draw(1)}]
