"""One step of SGD with momentum that updates its arguments in place and returns them."""

import torch
from torch import nn


class Model(nn.Module):
    def forward(self, p: torch.Tensor, grad: torch.Tensor, m: torch.Tensor, lr: float) -> tuple:
        m.mul_(0.9).add_(grad)
        p.sub_(lr * m + 0.01 * lr * p)
        return p, m


def get_inputs() -> list:
    return [torch.randn(256, 1024), torch.randn(256, 1024), torch.randn(256, 1024), 0.1]


def get_cases() -> list[dict]:
    return [{"name": "odd", "role": "held_out", "inputs": lambda: [*(torch.randn(7, 11) for _ in range(3)), 0.01]}]
