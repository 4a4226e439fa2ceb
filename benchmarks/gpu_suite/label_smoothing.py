"""Classification loss with label smoothing, written out: 65,536 samples, 1,000 classes, float32 (262 MB)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """(1 - s) * NLL of the target + s * mean NLL over classes."""

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        log_probabilities = F.log_softmax(logits, dim=-1)
        nll = -log_probabilities.gather(1, targets.unsqueeze(1)).squeeze(1)
        smooth = -log_probabilities.mean(dim=-1)
        return (0.9 * nll + 0.1 * smooth).mean()


def draw(samples: int, classes: int) -> list[torch.Tensor]:
    return [torch.randn(samples, classes), torch.randint(0, classes, (samples,))]


def get_inputs() -> list[torch.Tensor]:
    return draw(65536, 1000)


def get_cases() -> list[dict]:
    return [{"name": "odd_classes", "role": "held_out", "inputs": lambda: draw(257, 37)}]
