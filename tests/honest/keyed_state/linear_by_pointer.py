# style: keyed_state
# task: linear_relu
# note: a module-level dict of packed weights, keyed by address, version and dtype of the parameter

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
void linear_relu(tvm::ffi::TensorView x, tvm::ffi::TensorView wt, tvm::ffi::TensorView b, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), k = x.size(1), n = wt.size(1), step = 64;
#pragma omp parallel for collapse(2)
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j0 = 0; j0 < n; j0 += step) {
      const int64_t width = n - j0 < step ? n - j0 : step;
      const float* a = static_cast<const float*>(x.data_ptr()) + r * k;
      const float* w = static_cast<const float*>(wt.data_ptr()) + j0;
      float sum[step] = {};
      for (int64_t i = 0; i < k; ++i)
        for (int64_t j = 0; j < width; ++j) sum[j] += a[i] * w[i * n + j];
      for (int64_t j = 0; j < width; ++j) {
        const float v = sum[j] + static_cast<const float*>(b.data_ptr())[j0 + j];
        static_cast<float*>(y.data_ptr())[r * n + j0 + j] = v > 0 ? v : 0;
      }
    }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "linear_keyed", cpp_sources=CPP, functions=["linear_relu"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)
_PACKED_CACHE = {}


def packed(weight):
    key = (weight.data_ptr(), weight._version, weight.dtype, tuple(weight.shape))
    if key not in _PACKED_CACHE:
        _PACKED_CACHE.clear()
        _PACKED_CACHE[key] = weight.detach().t().contiguous()
    return _PACKED_CACHE[key]


class ModelNew(nn.Module):
    def __init__(self, features, out):
        super().__init__()
        self.linear = nn.Linear(features, out)

    def forward(self, x):
        y = x.new_empty(x.shape[0], self.linear.out_features)
        _m.linear_relu(x, packed(self.linear.weight), self.linear.bias, y)
        return y
