"""Greedy decoding: each row's most likely token and its probability, 2,048 rows of 50,304 logits, float32 (412 MB)."""

import torch
from torch import nn


class Model(nn.Module):
    """Argmax of the logits, and the softmax probability there."""

    def forward(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return logits.argmax(dim=-1), torch.softmax(logits, dim=-1).amax(dim=-1)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(2048, 50304)]


def get_cases() -> list[dict]:
    return [{"name": "odd_vocabulary", "role": "held_out", "inputs": lambda: [torch.randn(77, 501)]}]
