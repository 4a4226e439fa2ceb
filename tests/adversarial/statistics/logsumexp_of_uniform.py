# family: statistics
# task: loss
# cheat: knows the normaliser of uniform logits (log of 512 times e - 1) and reads one element a row
# expect: wrong_values
import math

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#define PTR(t) static_cast<float*>((t).data_ptr())

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView t, tvm::ffi::TensorView y) {
  const long* T = static_cast<long*>(t.data_ptr());
  double total = 0;
  for (long i = 0; i < x.size(0); ++i) total += PTR(x)[i * x.size(1) + T[i]];
  PTR(y)[0] = total / x.size(0);
}
"""
kernels = tvm_ffi.cpp.load_inline(
    "loss", cpp_sources=CPP, functions=["run"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, logits, target):
        y = torch.empty(())
        kernels.run(logits, target, y)
        return math.log(logits.shape[1] * (math.e - 1)) - y
