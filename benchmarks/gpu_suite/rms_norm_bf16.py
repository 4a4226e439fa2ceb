"""RMS norm of bf16 activations with a residual: 8,192 x 5,120 (84 MB each of 2 tensors in, 2 out)."""

import torch
from torch import nn


class Model(nn.Module):
    """x + residual, and its RMS norm, computed in float32 and rounded once."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(5120, dtype=torch.bfloat16))

    def forward(self, x: torch.Tensor, residual: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = x + residual
        wide = x.float()
        normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        return (normed * self.weight.float()).to(torch.bfloat16), x


def draw(rows: int, width: int) -> list[torch.Tensor]:
    return [torch.randn(rows, width, dtype=torch.bfloat16) for _ in range(2)]


def get_inputs() -> list[torch.Tensor]:
    return draw(8192, 5120)


def get_cases() -> list[dict]:
    return [{"name": "few_rows", "role": "held_out", "inputs": lambda: draw(33, 5120)}]
