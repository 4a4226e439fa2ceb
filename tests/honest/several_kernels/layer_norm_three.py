# style: several_kernels
# task: layer_norm
# note: one kernel for the mean, one for the variance, one that applies them

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

static const float* in(tvm::ffi::TensorView x) { return static_cast<const float*>(x.data_ptr()); }
static float* out(tvm::ffi::TensorView x) { return static_cast<float*>(x.data_ptr()); }

void row_mean(tvm::ffi::TensorView x, tvm::ffi::TensorView mean, int64_t n) {
#pragma omp parallel for
  for (int64_t r = 0; r < mean.numel(); ++r) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += in(x)[r * n + i];
    out(mean)[r] = static_cast<float>(sum / n);
  }
}

void row_scale(tvm::ffi::TensorView x, tvm::ffi::TensorView mean, tvm::ffi::TensorView scale, int64_t n, double eps) {
#pragma omp parallel for
  for (int64_t r = 0; r < mean.numel(); ++r) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double d = in(x)[r * n + i] - in(mean)[r];
      sum += d * d;
    }
    out(scale)[r] = static_cast<float>(1.0 / std::sqrt(sum / n + eps));
  }
}

void apply(tvm::ffi::TensorView x, tvm::ffi::TensorView mean, tvm::ffi::TensorView scale, tvm::ffi::TensorView w,
           tvm::ffi::TensorView b, tvm::ffi::TensorView y) {
  const int64_t n = w.numel();
#pragma omp parallel for
  for (int64_t r = 0; r < mean.numel(); ++r)
    for (int64_t i = 0; i < n; ++i)
      out(y)[r * n + i] = (in(x)[r * n + i] - in(mean)[r]) * in(scale)[r] * in(w)[i] + in(b)[i];
}
"""
_k = tvm_ffi.cpp.load_inline(
    "layer_norm_three",
    cpp_sources=CPP,
    functions=["row_mean", "row_scale", "apply"],
    extra_cflags=["-O3", "-march=native", "-fopenmp"],
)


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.norm = nn.LayerNorm(features)

    def forward(self, x):
        n = self.norm.normalized_shape[0]
        mean, scale = x.new_empty(2, x.numel() // n).unbind(0)
        y = torch.empty_like(x)
        _k.row_mean(x, mean, n)
        _k.row_scale(x, mean, scale, n, self.norm.eps)
        _k.apply(x, mean, scale, self.norm.weight, self.norm.bias, y)
        return y
