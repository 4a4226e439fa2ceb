"""Weighted Huber loss of a detector's boxes, written out: 33.6 million values, float32 (134 MB each)."""

import torch
from torch import nn


class Model(nn.Module):
    """Quadratic within delta, linear beyond, weighted, mean."""

    def forward(self, prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        error = (prediction - target).abs()
        loss = torch.where(error < 0.5, 0.5 * error * error, 0.5 * (error - 0.25))
        return (loss * weight).mean()


def draw(boxes: int, values: int) -> list[torch.Tensor]:
    return [torch.randn(boxes, values), torch.randn(boxes, values), torch.rand(boxes, 1)]


def get_inputs() -> list[torch.Tensor]:
    return draw(32768, 1024)


def get_cases() -> list[dict]:
    return [{"name": "odd_boxes", "role": "held_out", "inputs": lambda: draw(333, 77)}]
