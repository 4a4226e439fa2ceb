# style: online
# task: softmax
# note: one pass keeps a running maximum and a sum that is rescaled whenever the maximum grows

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#include <limits>

void online_softmax(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), n = x.size(1);
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = in + r * n;
    float top = -std::numeric_limits<float>::infinity(), sum = 0.0f;
    for (int64_t i = 0; i < n; ++i) {
      if (a[i] > top) {
        sum *= std::exp(top - a[i]);
        top = a[i];
      }
      sum += std::exp(a[i] - top);
    }
    for (int64_t i = 0; i < n; ++i) out[r * n + i] = std::exp(a[i] - top) / sum;
  }
}
"""
_module = tvm_ffi.cpp.load_inline(
    "online_softmax", cpp_sources=CPP, functions=["online_softmax"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        x = x.contiguous()
        y = torch.empty_like(x)
        _module.online_softmax(x, y)
        return y
