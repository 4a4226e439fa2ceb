"""RMS norm in bfloat16, computed in float32 and rounded once."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, features: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features, dtype=torch.bfloat16))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return (wide * scale * self.weight.float()).to(x.dtype)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(512, 1024).bfloat16()]


def get_init_inputs() -> list[int]:
    return [1024]


def get_cases() -> list[dict]:
    return [{"name": "odd_rows", "role": "held_out", "inputs": lambda: [torch.randn(13, 1024).bfloat16()]}]
