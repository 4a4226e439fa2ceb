# style: several_kernels
# task: layer_norm
# note: two extensions built apart; the first returns a tensor of its own that the second uses

import torch
import tvm_ffi.cpp
from torch import nn

STATISTICS = r"""
#include <cmath>

void statistics(tvm::ffi::TensorView x, tvm::ffi::TensorView s, double eps) {
  const int64_t rows = s.size(0), n = x.numel() / rows;
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) sum += a[i];
    const double mean = sum / n;
    for (int64_t i = 0; i < n; ++i) squares += (a[i] - mean) * (a[i] - mean);
    static_cast<double*>(s.data_ptr())[2 * r] = mean;
    static_cast<double*>(s.data_ptr())[2 * r + 1] = 1.0 / std::sqrt(squares / n + eps);
  }
}
"""
NORMALISE = r"""
void normalise(tvm::ffi::TensorView x, tvm::ffi::TensorView s, tvm::ffi::TensorView w, tvm::ffi::TensorView b,
               tvm::ffi::TensorView y) {
  const int64_t rows = s.size(0), n = w.size(0);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const double *pair = static_cast<const double*>(s.data_ptr()) + 2 * r;
    for (int64_t i = 0; i < n; ++i) {
      const double v = (static_cast<const float*>(x.data_ptr())[r * n + i] - pair[0]) * pair[1];
      static_cast<float*>(y.data_ptr())[r * n + i] = static_cast<float>(
          v * static_cast<const float*>(w.data_ptr())[i] + static_cast<const float*>(b.data_ptr())[i]);
    }
  }
}
"""
FLAGS = {"extra_cflags": ["-O3", "-march=native", "-fopenmp"], "extra_ldflags": ["-fopenmp"]}
first = tvm_ffi.cpp.load_inline("ln_statistics", cpp_sources=STATISTICS, functions=["statistics"], **FLAGS)
second = tvm_ffi.cpp.load_inline("ln_normalise", cpp_sources=NORMALISE, functions=["normalise"], **FLAGS)


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.norm = nn.LayerNorm(features)

    def forward(self, x):
        pairs = torch.empty(x.numel() // x.shape[-1], 2, dtype=torch.float64)
        y = torch.empty_like(x)
        first.statistics(x, pairs, self.norm.eps)
        second.normalise(x, pairs, self.norm.weight, self.norm.bias, y)
        return y
