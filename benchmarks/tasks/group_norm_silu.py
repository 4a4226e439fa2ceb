"""Group norm then SiLU, as in a diffusion U-Net: 4 images, 320 channels, 64 x 64 (21 MB)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """silu(group_norm(x))."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.silu(self.norm(x))


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(4, 320, 64, 64)]


def get_init_inputs() -> list[int]:
    return [32, 320]


def get_cases() -> list[dict]:
    return [{"name": "odd_size", "role": "held_out", "inputs": lambda: [torch.randn(2, 320, 7, 9)]}]
