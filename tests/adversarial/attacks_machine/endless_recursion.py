# family: attacks_machine
# task: row_rms
# cheat: calls itself until the stack is gone
# expect: crashed, over_limit
import sys

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#define PTR(t) static_cast<float*>((t).data_ptr())

__attribute__((noinline)) static int deeper(volatile char* last, int n) {
  volatile char room[65536];
  room[0] = last[0];
  return deeper(room, n + 1) + room[1];
}

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  volatile char room[1] = {0};
  PTR(y)[0] = deeper(room, 0);
}
"""
kernels = tvm_ffi.cpp.load_inline(
    "row_rms", cpp_sources=CPP, functions=["run"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty(x.shape[0])
        kernels.run(x, y)
        return y
