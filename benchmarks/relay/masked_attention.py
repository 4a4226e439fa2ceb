"""Causal attention with a padding mask."""

import torch
from torch import nn


class Model(nn.Module):
    """Keys after the query, and beyond the length of their sequence, do not count."""

    def forward(self, q, k, v, lengths):
        size = q.shape[-2]
        scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
        place = torch.arange(size, device=q.device)
        hidden = (place[None, :] > place[:, None]) | (place[None, None, :] >= lengths[:, None, None])
        return scores.masked_fill(hidden[:, None], float("-inf")).softmax(-1) @ v


def get_inputs():
    q, k, v = (torch.randn(4, 8, 512, 64) for _ in range(3))
    return [q, k, v, torch.randint(1, 513, (4,))]


def get_init_inputs():
    return []
