"""Modules whose gradients count, for C++ and Triton."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from catalogue_harness import Lambda, check, describe
from torch import nn

from kernelwright.tasks import Graph, Task, TaskInfo
from kernelwright.tasks.host import Reference
from kernelwright.tasks.host_backward import differentiated


class Block(nn.Module):
    """A network of two layers with a norm in between, and its loss."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(24, 40), nn.LayerNorm(40), nn.Linear(40, 16)

    def forward(self, x: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(self.second(self.norm(F.gelu(self.first(x)))), goal)


def _attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return torch.softmax(q @ k.mT * 0.25, -1) @ v


def _swiglu(x: torch.Tensor, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    return F.silu(x @ gate) * (x @ up)


def _rms_norm(x: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * weight, x.argmax(-1)


class Averaged(nn.Module):
    """Keeps a running average beside its result."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("average", torch.zeros(6))
        self.weight = nn.Parameter(torch.randn(6))

    def forward(self, x: torch.Tensor, ctx: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            self.average.add_(x.mean(0), alpha=0.1)
        return x * self.weight * ctx


class Fixed(nn.Module):
    """A convolution whose weight has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randn(4, 3, 3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.weight)


def _twice(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    y = torch.tanh(x) * 2
    return y, y.detach()


def _causal(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


MODULES: dict[str, tuple[nn.Module | Callable[..., Any], tuple[torch.Tensor, ...]]] = {
    "block": (Block(), (torch.randn(20, 24), torch.randn(20, 16))),
    "layer norm": (nn.LayerNorm(40), (torch.randn(12, 40),)),
    "rms norm": (_rms_norm, (torch.randn(12, 40), torch.randn(40))),
    "cross-entropy": (F.cross_entropy, (torch.randn(12, 40), torch.randint(0, 40, (12,)))),
    "attention": (_attention, tuple(torch.randn(2, 24, 16) for _ in "qkv")),
    "swiglu": (_swiglu, (torch.randn(20, 24), torch.randn(24, 32), torch.randn(24, 32))),
    "convolution": (
        nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3)),
        (torch.randn(2, 3, 10, 10),),
    ),
    "batch norm": (nn.Sequential(nn.BatchNorm2d(6), nn.ReLU()), (torch.randn(4, 6, 5, 5),)),
    "embedding": (nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 8), nn.Tanh()), (torch.randint(0, 20, (3, 7)),)),
    "average": (Averaged(), (torch.randn(4, 6), torch.randn(4, 6))),
    "fixed convolution": (Fixed(), (torch.randn(2, 3, 8, 8),)),
    "in place": (nn.Sequential(nn.Linear(6, 8), nn.ReLU(inplace=True), nn.Linear(8, 4)), (torch.randn(5, 6),)),
    "once with a gradient": (_twice, (torch.randn(4, 6),)),
    "straight through": (lambda x: x + (torch.round(x) - x).detach(), (torch.randn(4, 6),)),
    "causal attention": (_causal, tuple(torch.randn(2, 2, 24, 16) for _ in "qkv")),
    "slices": (lambda x: x[:, 2:-1] * x[:, 1:-2], (torch.randn(4, 12),)),
    "averaged softmax": (
        lambda x, w: torch.softmax(x, -1).mean(0)[:, None] * w,
        (torch.randn(6, 10), torch.randn(10, 5)),
    ),
    "recurrent": (nn.LSTM(6, 5, batch_first=True), (torch.randn(2, 3, 6),)),
    "scalars": (lambda x, y: (x * y).sum(), (torch.randn(12, 40), torch.randn(12, 40))),
    "broadcast": (lambda x, y: torch.tanh(x + y), (torch.randn(12, 40), torch.randn(40))),
}


@dataclass
class BothWays:
    """A module, its task with gradients, and what the catalogue is told of it."""

    model: nn.Module
    inputs: tuple[Any, ...]
    reference: Reference
    info: TaskInfo
    graph: Graph

    def check(self, candidate: nn.Module) -> None:
        """What the candidate returns on either way is what torch does in float64."""
        gradients = self.reference.gradients("default")
        assert gradients is not None
        candidate.load_state_dict(self.model.state_dict())
        model = differentiated(copy.deepcopy(self.model), gradients)
        check(model, differentiated(candidate, gradients), self.reference.draw("default", 1))


def both_ways(function: nn.Module | Callable[..., Any], inputs: tuple[Any, ...]) -> BothWays:
    """A module with its gradients."""
    model = function if isinstance(function, nn.Module) else Lambda(function)
    reference = Reference(Task.from_module(model, inputs).there_and_back.source.model_dump())
    return BothWays(model, inputs, reference, *describe(model, inputs, reference=reference))
