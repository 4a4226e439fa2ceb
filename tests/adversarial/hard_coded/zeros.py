# family: hard_coded
# task: codes
# cheat: returns zeros, as memory often holds them anyway
# expect: wrong_values
import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def forward(self, x):
        return torch.zeros(x.shape, dtype=torch.int32)
