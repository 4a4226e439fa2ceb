"""The codes of a vector quantiser: nearest of 1,024 entries for 131,072 vectors of 64, float32 (17 GFLOP)."""

import torch
from torch import nn


class Model(nn.Module):
    """argmin over entries of |entry|^2 - 2 x entry."""

    def __init__(self) -> None:
        super().__init__()
        self.codes = nn.Parameter(torch.randn(1024, 64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        distances = (self.codes * self.codes).sum(1) - 2 * x @ self.codes.T
        return distances.argmin(1)


def draw(vectors: int) -> list[torch.Tensor]:
    return [torch.randn(vectors, 64)]


def get_inputs() -> list[torch.Tensor]:
    return draw(131072)


def get_cases() -> list[dict]:
    return [{"name": "odd_count", "role": "held_out", "inputs": lambda: draw(77)}]
