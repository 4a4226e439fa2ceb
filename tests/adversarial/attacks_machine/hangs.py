# family: attacks_machine
# task: row_rms
# cheat: never returns
# expect: timed_out
import torch
from torch import nn


class ModelNew(nn.Module):
    def forward(self, x):
        while True:
            pass
