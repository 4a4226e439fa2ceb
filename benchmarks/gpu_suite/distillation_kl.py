"""Distillation: KL divergence from teacher to student at a temperature, 4,096 x 8,192 logits, float32 (134 MB each)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """Sum over classes of p (log p - log q), mean over tokens."""

    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        log_q = F.log_softmax(student / 2.0, dim=-1)
        log_p = F.log_softmax(teacher / 2.0, dim=-1)
        return (log_p.exp() * (log_p - log_q)).sum(dim=-1).mean() * 4.0


def draw(tokens: int, classes: int) -> list[torch.Tensor]:
    return [torch.randn(tokens, classes), torch.randn(tokens, classes)]


def get_inputs() -> list[torch.Tensor]:
    return draw(4096, 8192)


def get_cases() -> list[dict]:
    return [{"name": "odd_classes", "role": "held_out", "inputs": lambda: draw(65, 999)}]
