"""MobileNet's squeeze-and-excite gate: hardswish(x) * hardsigmoid(gate) + shortcut, 32 x 96 x 56 x 56 (39 MB each)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """hardswish(x) * hardsigmoid(gate) + shortcut; one gate a channel and image."""

    def forward(self, x: torch.Tensor, gate: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
        return F.hardswish(x) * F.hardsigmoid(gate)[:, :, None, None] + shortcut


def draw(images: int, channels: int, size: int) -> list[torch.Tensor]:
    feature = (images, channels, size, size)
    return [torch.randn(feature), torch.randn(images, channels), torch.randn(feature)]


def get_inputs() -> list[torch.Tensor]:
    return draw(32, 96, 56)


def get_cases() -> list[dict]:
    return [{"name": "odd_size", "role": "held_out", "inputs": lambda: draw(2, 5, 7)}]
