# style: summation_orders
# task: linear_relu
# note: the inner dimension is split over threads, which add their parts with atomics in whatever order they come

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
void product(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), k = x.size(1), n = w.size(0), part = 64;
  float* out = static_cast<float*>(y.data_ptr());
#pragma omp parallel for schedule(dynamic)
  for (int64_t s = 0; s < (k + part - 1) / part; ++s) {
    const int64_t begin = s * part, end = begin + part < k ? begin + part : k;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < n; ++j) {
        const float* a = static_cast<const float*>(x.data_ptr()) + r * k;
        const float* c = static_cast<const float*>(w.data_ptr()) + j * k;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = begin; i < end; ++i) sum += a[i] * c[i];
#pragma omp atomic
        out[r * n + j] += sum;
      }
  }
}

void relu(tvm::ffi::TensorView y) {
  float* out = static_cast<float*>(y.data_ptr());
  for (int64_t i = 0; i < y.numel(); ++i) out[i] = out[i] > 0 ? out[i] : 0;
}
"""
_m = tvm_ffi.cpp.load_inline(
    "split_k", cpp_sources=CPP, functions=["product", "relu"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, features, out):
        super().__init__()
        self.linear = nn.Linear(features, out)

    def forward(self, x):
        y = self.linear.bias.detach().repeat(x.shape[0], 1)
        _m.product(x, self.linear.weight, y)
        _m.relu(y)
        return y
