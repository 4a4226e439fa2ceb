# style: memory
# task: rms_norm_bf16
# note: a row is widened into a large array on each thread's stack

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#include <cstring>

constexpr int64_t MOST = 1 << 17;  // half a megabyte of floats

static inline float widen(uint16_t bits) {
  union {
    uint32_t bits;
    float value;
  } both{uint32_t(bits) << 16};
  return both.value;
}

static inline uint16_t narrow(float value) {
  union {
    float value;
    uint32_t bits;
  } both{value};
  const uint32_t odd = (both.bits >> 16) & 1;
  return uint16_t((both.bits + 0x7fff + odd) >> 16);
}

void rms_norm(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y, double eps) {
  const int64_t n = w.size(0), rows = x.numel() / n;
  TVM_FFI_ICHECK(n <= MOST) << "rows of at most " << MOST << " elements";
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    float row[MOST];
    const uint16_t* a = static_cast<const uint16_t*>(x.data_ptr()) + r * n;
    uint16_t* out = static_cast<uint16_t*>(y.data_ptr()) + r * n;
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      row[i] = widen(a[i]);
      sum += row[i] * row[i];
    }
    const float scale = float(1.0 / std::sqrt(sum / n + eps));
    for (int64_t i = 0; i < n; ++i)
      out[i] = narrow(row[i] * scale * widen(static_cast<const uint16_t*>(w.data_ptr())[i]));
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "rms_norm_stack", cpp_sources=CPP, functions=["rms_norm"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, features, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.register_parameter("weight", nn.Parameter(torch.ones(features).bfloat16()))

    def forward(self, x):
        y = torch.empty_like(x)
        _m.rms_norm(x, self.weight, y, self.eps)
        return y
