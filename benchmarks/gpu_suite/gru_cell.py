"""One step of a GRU: 4,096 sequences, 1,024 hidden units, float16 (52 GFLOP)."""

import torch
from torch import nn


class Model(nn.Module):
    """The next hidden state."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(1024, 1024, dtype=torch.float16)

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        return self.cell(x, h)


def draw(sequences: int) -> list[torch.Tensor]:
    return [torch.randn(sequences, 1024, dtype=torch.float16) for _ in range(2)]


def get_inputs() -> list[torch.Tensor]:
    return draw(4096)


def get_cases() -> list[dict]:
    return [{"name": "few_sequences", "role": "held_out", "inputs": lambda: draw(33)}]
