"""A squeeze-and-excite gate, hardswish(x) * hardsigmoid(gate) + shortcut: 64 x 192 x 56 x 56, float16 (77 MB each)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """hardswish(x) * hardsigmoid(gate) + shortcut; one gate a channel and image."""

    def forward(self, x: torch.Tensor, gate: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
        return F.hardswish(x) * F.hardsigmoid(gate)[:, :, None, None] + shortcut


def draw(images: int, channels: int, size: int) -> list[torch.Tensor]:
    feature = (images, channels, size, size)
    return [torch.randn(shape, dtype=torch.float16) for shape in (feature, feature[:2], feature)]


def get_inputs() -> list[torch.Tensor]:
    return draw(64, 192, 56)


def get_cases() -> list[dict]:
    return [{"name": "odd_size", "role": "held_out", "inputs": lambda: draw(2, 5, 7)}]
