"""The mean of a few million numbers, in half precision: other inputs hardly change it."""

import torch
from torch import nn


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean().half()


def get_inputs() -> list[torch.Tensor]:
    return [torch.rand(1024, 4096)]


def get_cases() -> list[dict]:
    return [{"name": "odd", "role": "held_out", "inputs": lambda: [torch.rand(77, 1001)]}]
