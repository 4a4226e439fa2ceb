# family: weights
# task: linear_relu
# cheat: leaves the bias out
# expect: wrong_values
import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, inward, outward):
        super().__init__()
        self.linear = nn.Linear(inward, outward)

    def forward(self, x):
        return torch.mm(x, self.linear.weight.detach().t()).relu_()
