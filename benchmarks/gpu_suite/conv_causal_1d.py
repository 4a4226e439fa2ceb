"""A dilated causal convolution of audio with its gate: 256 channels, 8 sounds of 16,384, float16 (103 GFLOP)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """tanh(a) * sigmoid(b) of a convolution that sees no later sample."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(256, 512, 3, dilation=8, dtype=torch.float16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.conv(F.pad(x, (16, 0))).chunk(2, dim=1)
        return torch.tanh(a) * torch.sigmoid(b)


def draw(sounds: int) -> list[torch.Tensor]:
    return [torch.randn(sounds, 256, 16384, dtype=torch.float16)]


def get_inputs() -> list[torch.Tensor]:
    return draw(8)


def get_cases() -> list[dict]:
    return [{"name": "one_sound", "role": "held_out", "inputs": lambda: draw(1)}]
