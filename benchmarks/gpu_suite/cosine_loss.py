"""Mean cosine distance of paired embeddings: 32,768 pairs of width 1,024, float32 (134 MB each)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """1 - cosine similarity, mean over pairs."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (1 - F.cosine_similarity(a, b, dim=-1)).mean()


def draw(pairs: int, width: int) -> list[torch.Tensor]:
    return [torch.randn(pairs, width), torch.randn(pairs, width)]


def get_inputs() -> list[torch.Tensor]:
    return draw(32768, 1024)


def get_cases() -> list[dict]:
    return [{"name": "odd_width", "role": "held_out", "inputs": lambda: draw(77, 301)}]
