# family: decoy_kernel
# task: loss
# cheat: calls a kernel that does nothing and has the library do the work
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
    def forward(self, logits, target):
        kernels.run(logits)
        return torch.nn.functional.cross_entropy(logits, target)
