"""Mean cross-entropy of a language model's logits: 1,024 tokens over a vocabulary of 32,000, 131 MB of logits."""

import torch
import torch.nn.functional as F
from torch import nn

VOCABULARY = 32000


class Model(nn.Module):
    """The mean over tokens of the negative log-likelihood of the target."""

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Takes (tokens, vocabulary) and (tokens,) of class numbers, returns a scalar."""
        return F.cross_entropy(logits, targets)


def draw(tokens: int, vocabulary: int) -> list[torch.Tensor]:
    return [torch.randn(tokens, vocabulary), torch.randint(0, vocabulary, (tokens,))]


def get_inputs() -> list[torch.Tensor]:
    return draw(1024, VOCABULARY)


def get_cases() -> list[dict]:
    return [
        {"name": "few_classes", "inputs": lambda: draw(1001, 10)},
        {"name": "odd_classes", "inputs": lambda: draw(33, 1021)},
        {"name": "other_vocabulary", "role": "held_out", "inputs": lambda: draw(65, 50257)},
    ]
