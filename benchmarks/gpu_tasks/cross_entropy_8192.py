"""Cross-entropy of 8192 rows of 32000 logits, float16."""

import torch
from torch import nn
from torch.nn import functional as F


class Model(nn.Module):
    def forward(self, logits, targets):
        return F.cross_entropy(logits, targets)


def get_init_inputs():
    return []


def get_inputs():
    return [torch.randn(8192, 32000, dtype=torch.float16), torch.randint(0, 32000, (8192,))]
