"""Mean cross-entropy of a language model: 2,048 tokens over a vocabulary of 50,304, float32 (412 MB of logits)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """Mean negative log-likelihood of the targets."""

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits, targets)


def draw(tokens: int, vocabulary: int) -> list[torch.Tensor]:
    return [torch.randn(tokens, vocabulary), torch.randint(0, vocabulary, (tokens,))]


def get_inputs() -> list[torch.Tensor]:
    return draw(2048, 50304)


def get_cases() -> list[dict]:
    return [
        {"name": "few_classes", "inputs": lambda: draw(501, 10)},
        {"name": "other_vocabulary", "role": "held_out", "inputs": lambda: draw(33, 50257)},
    ]
