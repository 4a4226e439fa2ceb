# style: library_beside
# task: rms_norm_bf16
# note: torch converts to float32 and back, the kernel works in float32 in place

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void rms_norm_(tvm::ffi::TensorView y, tvm::ffi::TensorView w, double eps) {
  const int64_t n = w.size(0), rows = y.numel() / n;
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    float* a = static_cast<float*>(y.data_ptr()) + r * n;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; ++i) sum += a[i] * a[i];
    const float scale = 1.0f / std::sqrt(sum / n + static_cast<float>(eps));
    for (int64_t i = 0; i < n; ++i) a[i] *= scale * static_cast<const float*>(w.data_ptr())[i];
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "rms_norm_wide", cpp_sources=CPP, functions=["rms_norm_"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, features, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features, dtype=torch.bfloat16))
        self.eps = eps

    def forward(self, x):
        wide = x.float()
        _m.rms_norm_(wide, self.weight.float(), self.eps)
        return wide.to(x.dtype)
