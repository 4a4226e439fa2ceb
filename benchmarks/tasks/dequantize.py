"""Weights from int8 with a scale and zero point a group of 128: 8,192 x 4,096 (34 MB in, 134 MB out)."""

import torch
from torch import nn


class Model(nn.Module):
    """(q - zero) * scale, group by group."""

    def forward(self, q: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
        rows, width = q.shape
        grouped = q.view(rows, -1, 128).to(torch.float32)
        return ((grouped - zero[:, :, None]) * scale[:, :, None]).view(rows, width)


def draw(rows: int, groups: int) -> list[torch.Tensor]:
    q = torch.randint(-128, 128, (rows, groups * 128), dtype=torch.int8)
    return [q, torch.rand(rows, groups) + 0.01, torch.randn(rows, groups)]


def get_inputs() -> list[torch.Tensor]:
    return draw(8192, 32)


def get_cases() -> list[dict]:
    return [{"name": "few_groups", "role": "held_out", "inputs": lambda: draw(33, 3)}]
