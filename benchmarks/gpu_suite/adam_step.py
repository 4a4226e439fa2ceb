"""One Adam update with decoupled weight decay: 16.8 million parameters, float32 (67 MB each of 7)."""

import torch
from torch import nn


class Model(nn.Module):
    """New parameters and moments from parameters, gradient and moments."""

    def forward(
        self, p: torch.Tensor, grad: torch.Tensor, m: torch.Tensor, v: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        m = 0.9 * m + 0.1 * grad
        v = 0.999 * v + 0.001 * grad * grad
        step = (m / 0.271) / (torch.sqrt(v / 0.002997) + 1e-8)
        return p - 1e-3 * (step + 0.01 * p), m, v


def draw(rows: int, width: int) -> list[torch.Tensor]:
    return [torch.randn(rows, width), torch.randn(rows, width), torch.randn(rows, width), torch.rand(rows, width)]


def get_inputs() -> list[torch.Tensor]:
    return draw(8192, 2048)


def get_cases() -> list[dict]:
    return [{"name": "odd_width", "role": "held_out", "inputs": lambda: draw(33, 77)}]
