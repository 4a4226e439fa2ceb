"""The gate of a mixture of experts: among equal scores any may be chosen."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, chosen: int) -> None:
        super().__init__()
        self.chosen = chosen

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        best, where = scores.topk(self.chosen, dim=-1)
        return torch.zeros_like(scores).scatter(-1, where, best.softmax(-1))


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(2048, 64)]


def get_init_inputs() -> list[int]:
    return [2]


def get_cases() -> list[dict]:
    return [{"name": "odd_size", "role": "held_out", "inputs": lambda: [torch.randn(33, 17)]}]
