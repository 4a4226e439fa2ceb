"""Token and position embeddings, then a layer norm: 16 x 512 tokens of 50,000, 768 features (25 MB out)."""

import torch
from torch import nn


class Model(nn.Module):
    """norm(token[ids] + position)."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(50000, 768)
        self.position = nn.Embedding(1024, 768)
        self.norm = nn.LayerNorm(768)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        positions = torch.arange(ids.shape[1], device=ids.device)
        return self.norm(self.token(ids) + self.position(positions))


def draw(batch: int, length: int) -> list[torch.Tensor]:
    return [torch.randint(0, 50000, (batch, length))]


def get_inputs() -> list[torch.Tensor]:
    return draw(16, 512)
