"""The triplet margin loss of embeddings: 32,768 triplets of 1,024 features, float32 (134 MB each)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """Mean of max(0, d(anchor, positive) - d(anchor, negative) + 1)."""

    def forward(self, anchor: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
        return F.triplet_margin_loss(anchor, positive, negative)


def draw(triplets: int, width: int) -> list[torch.Tensor]:
    return [torch.randn(triplets, width) for _ in range(3)]


def get_inputs() -> list[torch.Tensor]:
    return draw(32768, 1024)


def get_cases() -> list[dict]:
    return [{"name": "odd_width", "role": "held_out", "inputs": lambda: draw(33, 77)}]
