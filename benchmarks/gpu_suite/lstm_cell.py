"""One step of an LSTM: 4,096 sequences, 1,024 hidden units, float16 (69 GFLOP)."""

import torch
from torch import nn


class Model(nn.Module):
    """The next hidden and cell state."""

    def __init__(self) -> None:
        super().__init__()
        self.input = nn.Linear(1024, 4096, dtype=torch.float16)
        self.hidden = nn.Linear(1024, 4096, bias=False, dtype=torch.float16)

    def forward(self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        i, f, g, o = (self.input(x) + self.hidden(h)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


def draw(sequences: int) -> list[torch.Tensor]:
    return [torch.randn(sequences, 1024, dtype=torch.float16) for _ in range(3)]


def get_inputs() -> list[torch.Tensor]:
    return draw(4096)


def get_cases() -> list[dict]:
    return [{"name": "few_sequences", "role": "held_out", "inputs": lambda: draw(33)}]
