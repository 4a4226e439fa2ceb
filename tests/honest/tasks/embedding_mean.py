"""The mean of each sentence's word vectors: 512 sentences of 32 words, 4,096 words of 128 numbers."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(words, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.table(tokens).mean(1)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randint(0, 4096, (512, 32))]


def get_init_inputs() -> list[int]:
    return [4096, 128]


def get_cases() -> list[dict]:
    return [{"name": "odd", "role": "held_out", "inputs": lambda: [torch.randint(0, 4096, (5, 7))]}]
