"""One step of decoding: writes a key and a value into the module's cache, then attends over all positions so far."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, heads: int, length: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(heads, length, width))
        self.register_buffer("values", torch.zeros(heads, length, width))
        self.register_buffer("used", torch.zeros(1, dtype=torch.int64))

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        at = int(self.used) % self.keys.shape[1]
        self.keys[:, at] = k
        self.values[:, at] = v
        self.used += 1
        scores = torch.einsum("hd,hld->hl", q, self.keys[:, : at + 1]) * q.shape[-1] ** -0.5
        return torch.einsum("hl,hld->hd", torch.softmax(scores, -1), self.values[:, : at + 1])


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(8, 64) for _ in range(3)]


def get_init_inputs() -> list[int]:
    return [8, 256, 64]
