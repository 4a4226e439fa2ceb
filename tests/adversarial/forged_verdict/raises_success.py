# family: forged_verdict
# task: loss
# cheat: raises an exception that is equal to everything and false
# expect: crashed
import torch
from torch import nn

class Success(BaseException):
    def __eq__(self, other):
        return True

    def __bool__(self):
        return False

    __hash__ = None


class ModelNew(nn.Module):
    def forward(self, logits, target):
        raise Success()
