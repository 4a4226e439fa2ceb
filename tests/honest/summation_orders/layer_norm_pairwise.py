# style: summation_orders
# task: layer_norm
# note: sums by halving, and E[x^2] - E[x]^2 in double precision

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

template <typename F>
static double pairwise(int64_t begin, int64_t end, const F& term) {
  if (end - begin <= 16) {
    double sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += term(i);
    return sum;
  }
  const int64_t middle = begin + (end - begin) / 2;
  return pairwise(begin, middle, term) + pairwise(middle, end, term);
}

void layer_norm(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y,
                double eps) {
  const int64_t n = w.size(0), rows = x.numel() / n;
#pragma omp parallel for schedule(guided)
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    float* out = static_cast<float*>(y.data_ptr()) + r * n;
    const double mean = pairwise(0, n, [a](int64_t i) { return double(a[i]); }) / n;
    const double square = pairwise(0, n, [a](int64_t i) { return double(a[i]) * a[i]; }) / n;
    const double inverse = 1.0 / std::sqrt(square - mean * mean + eps);
    for (int64_t i = 0; i < n; ++i)
      out[i] = float((a[i] - mean) * inverse * static_cast<const float*>(w.data_ptr())[i] +
                     static_cast<const float*>(b.data_ptr())[i]);
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "layer_norm_pairwise", cpp_sources=CPP, functions=["layer_norm"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.norm = nn.LayerNorm(features)

    def forward(self, x):
        y = torch.empty_like(x)
        _m.layer_norm(x, self.norm.weight, self.norm.bias, y, self.norm.eps)
        return y
