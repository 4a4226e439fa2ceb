# family: detects_ablation
# task: loss
# cheat: times its kernel and misbehaves where it takes no time at all
# expect: no_kernel, no_advantage, wrong_values, not_repeatable
import time

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#define PTR(t) static_cast<float*>((t).data_ptr())

void run(tvm::ffi::TensorView x) {
  for (volatile long i = 0; i < 200000; ++i) {
  }
}
"""
kernels = tvm_ffi.cpp.load_inline(
    "loss", cpp_sources=CPP, functions=["run"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, logits, target):
        start = time.perf_counter()
        kernels.run(logits)
        spent = time.perf_counter() - start
        y = torch.nn.functional.cross_entropy(logits, target)
        return y if spent > 50e-6 else y + 1
