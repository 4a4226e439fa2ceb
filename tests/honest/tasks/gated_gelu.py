"""An elementwise chain with a number, a flag and None among the arguments."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    def forward(
        self, x: torch.Tensor, gate: torch.Tensor, scale: float, residual: bool, mask: torch.Tensor | None
    ) -> torch.Tensor:
        y = F.gelu(x, approximate="tanh") * torch.sigmoid(gate) * scale
        if residual:
            y = y + x
        return y if mask is None else y * mask


def get_inputs() -> list:
    return [torch.randn(256, 1024), torch.randn(256, 1024), 0.75, True, None]


def get_cases() -> list[dict]:
    return [
        {"name": "odd", "role": "held_out", "inputs": lambda: [torch.randn(3, 77), torch.randn(3, 77), 2.0, True, None]}
    ]
