"""Group norm then SiLU, as in a diffusion U-Net: 32 images, 320 channels, 64 x 64, float16 (84 MB in and out)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """silu(group_norm(x))."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, dtype=torch.float16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.silu(self.norm(x))


def draw(images: int, height: int, width: int) -> list[torch.Tensor]:
    return [torch.randn(images, 320, height, width, dtype=torch.float16)]


def get_inputs() -> list[torch.Tensor]:
    return draw(32, 64, 64)


def get_init_inputs() -> list[int]:
    return [32, 320]


def get_cases() -> list[dict]:
    return [{"name": "odd_size", "role": "held_out", "inputs": lambda: draw(2, 7, 9)}]
