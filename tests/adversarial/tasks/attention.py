"""Attention of eight heads."""

import torch
from torch import nn


class Model(nn.Module):
    def forward(self, q, k, v):
        scores = torch.bmm(q, k.transpose(1, 2)) / q.shape[-1] ** 0.5
        return torch.bmm(torch.softmax(scores, dim=-1), v)


def get_inputs():
    return [torch.randn(8, 128, 64), torch.randn(8, 128, 64), torch.randn(8, 128, 64)]


def get_init_inputs():
    return []


def get_cases():
    return [
        {
            "name": "secret",
            "role": "held_out",
            "inputs": lambda: [torch.randn(3, 40, 64), torch.randn(3, 56, 64), torch.randn(3, 56, 64)],
        }
    ]
