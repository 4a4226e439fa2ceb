"""A 3 x 3 x 3 convolution of a video: 32 to 64 channels, 4 clips of 16 frames of 112 x 112, float16 (89 GFLOP)."""

import torch
from torch import nn


class Model(nn.Module):
    """relu(conv(x))."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(32, 64, 3, padding=1, dtype=torch.float16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(x))


def draw(clips: int) -> list[torch.Tensor]:
    return [torch.randn(clips, 32, 16, 112, 112, dtype=torch.float16)]


def get_inputs() -> list[torch.Tensor]:
    return draw(4)


def get_cases() -> list[dict]:
    return [{"name": "one_clip", "role": "held_out", "inputs": lambda: draw(1)}]
