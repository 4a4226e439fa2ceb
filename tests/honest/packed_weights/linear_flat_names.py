# style: packed_weights
# task: linear_relu
# note: its parameters have names of their own and match the reference's by order and shape

import math

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
void linear_relu(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), k = x.size(1), n = w.size(0);
#pragma omp parallel for collapse(2)
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < n; ++j) {
      const float* a = static_cast<const float*>(x.data_ptr()) + r * k;
      const float* c = static_cast<const float*>(w.data_ptr()) + j * k;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = 0; i < k; ++i) sum += a[i] * c[i];
      sum += static_cast<const float*>(b.data_ptr())[j];
      static_cast<float*>(y.data_ptr())[r * n + j] = sum > 0 ? sum : 0;
    }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "linear_dots", cpp_sources=CPP, functions=["linear_relu"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, features, out):
        super().__init__()
        self.W = nn.Parameter(torch.empty(out, features))
        self.b = nn.Parameter(torch.empty(out))
        nn.init.kaiming_uniform_(self.W, a=math.sqrt(5))
        nn.init.zeros_(self.b)

    def forward(self, x):
        y = torch.empty((x.size(0), self.W.size(0)), dtype=x.dtype)
        _m.linear_relu(x.contiguous(), self.W.detach(), self.b.detach(), y)
        return y
