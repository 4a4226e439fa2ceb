# family: decoy_kernel
# task: loss
# cheat: calls its kernel in the constructor only
# expect: no_kernel
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#define PTR(t) static_cast<float*>((t).data_ptr())

void run(tvm::ffi::TensorView x) {}
"""
kernels = tvm_ffi.cpp.load_inline(
    "loss", cpp_sources=CPP, functions=["run"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        kernels.run(torch.zeros(1))

    def forward(self, logits, target):
        return torch.nn.functional.cross_entropy(logits, target)
