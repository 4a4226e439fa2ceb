# style: online
# task: layer_norm
# note: Welford's update, one element after the other

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void layer_norm(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y,
                double eps) {
  const int64_t n = w.size(0), rows = x.numel() / n;
  const float* scale = static_cast<const float*>(w.data_ptr());
  const float* shift = static_cast<const float*>(b.data_ptr());
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    float* out = static_cast<float*>(y.data_ptr()) + r * n;
    float mean = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) {
      const float delta = a[i] - mean;
      mean += delta / static_cast<float>(i + 1);
      squares += delta * (a[i] - mean);
    }
    const float inverse = 1.0f / std::sqrt(squares / n + static_cast<float>(eps));
    for (int64_t i = 0; i < n; ++i) out[i] = (a[i] - mean) * inverse * scale[i] + shift[i];
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "welford", cpp_sources=CPP, functions=["layer_norm"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.norm = nn.LayerNorm(features)

    def forward(self, x):
        y = torch.empty_like(x)
        _m.layer_norm(x, self.norm.weight, self.norm.bias, y, self.norm.eps)
        return y
