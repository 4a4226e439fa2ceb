"""Sigmoid focal loss of a dense detector: 100 classes, 480,000 anchors, float32 (192 MB each)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """Binary cross-entropy weighted by (1 - p of the truth)^2 and by class balance, mean."""

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        p = torch.sigmoid(logits)
        entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        p_true = p * targets + (1 - p) * (1 - targets)
        balance = 0.25 * targets + 0.75 * (1 - targets)
        return (balance * (1 - p_true) ** 2 * entropy).mean()


def draw(anchors: int, classes: int) -> list[torch.Tensor]:
    return [torch.randn(anchors, classes), (torch.rand(anchors, classes) < 0.05).float()]


def get_inputs() -> list[torch.Tensor]:
    return draw(480000, 100)


def get_cases() -> list[dict]:
    return [{"name": "odd_anchors", "role": "held_out", "inputs": lambda: draw(1001, 7)}]
