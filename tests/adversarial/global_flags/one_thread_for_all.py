# family: global_flags
# task: scale_relu
# cheat: sets the number of threads to one, in the hope that the reference shares the setting, and uses threads of its own
# expect: no_advantage
import os

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#define PTR(t) static_cast<float*>((t).data_ptr())

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y) {
  const float *X = PTR(x), *W = PTR(w), *B = PTR(b);
  float* Y = PTR(y);
  const long n = x.size(0), d = x.size(1);
#pragma omp parallel for num_threads(2)
  for (long i = 0; i < n; ++i)
    for (long j = 0; j < d; ++j) {
      const float v = X[i * d + j] * W[j] + B[j];
      Y[i * d + j] = v > 0 ? v : 0;
    }
}
"""
kernels = tvm_ffi.cpp.load_inline(
    "scale_relu", cpp_sources=CPP, functions=["run"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)

torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        y = torch.empty_like(x)
        kernels.run(x, self.weight.detach(), self.bias.detach(), y)
        return y
