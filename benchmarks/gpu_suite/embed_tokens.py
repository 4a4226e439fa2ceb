"""Token and position embeddings, then a layer norm: 32 x 1,024 tokens of 50,000, width 1,024, float16 (67 MB out)."""

import torch
from torch import nn


class Model(nn.Module):
    """norm(token[ids] + position)."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(50000, 1024, dtype=torch.float16)
        self.position = nn.Embedding(1024, 1024, dtype=torch.float16)
        self.norm = nn.LayerNorm(1024, dtype=torch.float16)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        positions = torch.arange(ids.shape[1], device=ids.device)
        return self.norm(self.token(ids) + self.position(positions))


def draw(batch: int, length: int) -> list[torch.Tensor]:
    return [torch.randint(0, 50000, (batch, length))]


def get_inputs() -> list[torch.Tensor]:
    return draw(32, 1024)
