"""Weights from int8 with a float16 scale and zero point a group of 128: 16,384 x 8,192 (134 MB in, 268 MB out)."""

import torch
from torch import nn


class Model(nn.Module):
    """(q - zero) * scale, group by group."""

    def forward(self, q: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
        rows, width = q.shape
        grouped = q.view(rows, -1, 128).to(torch.float16)
        return ((grouped - zero[:, :, None]) * scale[:, :, None]).view(rows, width)


def draw(rows: int, groups: int) -> list[torch.Tensor]:
    q = torch.randint(-128, 128, (rows, groups * 128), dtype=torch.int8)
    return [q, torch.rand(rows, groups, dtype=torch.float16) + 0.01, torch.randn(rows, groups, dtype=torch.float16)]


def get_inputs() -> list[torch.Tensor]:
    return draw(16384, 64)


def get_cases() -> list[dict]:
    return [{"name": "few_groups", "role": "held_out", "inputs": lambda: draw(33, 3)}]
