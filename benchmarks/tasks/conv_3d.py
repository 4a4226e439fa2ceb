"""A 3 x 3 x 3 convolution of a video: 16 to 32 channels, 2 clips of 16 frames of 56 x 56 (2.8 GFLOP)."""

import torch
from torch import nn


class Model(nn.Module):
    """relu(conv(x))."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(16, 32, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(x))


def draw(clips: int) -> list[torch.Tensor]:
    return [torch.randn(clips, 16, 16, 56, 56)]


def get_inputs() -> list[torch.Tensor]:
    return draw(2)


def get_cases() -> list[dict]:
    return [{"name": "one_clip", "role": "held_out", "inputs": lambda: draw(1)}]
