# family: skips_work
# task: codes
# cheat: leaves out the limits, which inputs between 0 and 1 never reach
# expect: wrong_values
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#define PTR(t) static_cast<float*>((t).data_ptr())

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y, double step) {
  const float* X = PTR(x);
  int* Y = static_cast<int*>(y.data_ptr());
  const long n = x.numel();
  const float s = static_cast<float>(step);
#pragma omp parallel for simd
  for (long i = 0; i < n; ++i) {
    float v = std::nearbyintf(X[i] / s);
    Y[i] = static_cast<int>(v);
  }
}
"""
kernels = tvm_ffi.cpp.load_inline(
    "codes", cpp_sources=CPP, functions=["run"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def forward(self, x):
        y = torch.empty(x.shape, dtype=torch.int32)
        kernels.run(x, y, self.step)
        return y
