"""A reduction to one number, with integer inputs."""

import torch
from torch import nn


class Model(nn.Module):
    def forward(self, logits, target):
        return torch.nn.functional.cross_entropy(logits, target)


def get_inputs():
    return [torch.rand(1024, 512), torch.randint(0, 512, (1024,))]


def get_init_inputs():
    return []


def get_cases():
    return [
        {
            "name": "secret",
            "role": "held_out",
            "inputs": lambda: [torch.rand(50, 512), torch.randint(0, 512, (50,))],
        }
    ]
