# style: simd
# task: gated_gelu
# note: its own vectorised exp, as 2^n times a polynomial, under tanh and sigmoid

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#include <cstdint>
#include <cstring>

// exp(x) within 2 units in the last place for -87 < x < 88; clamped beyond.
#pragma omp declare simd
static inline float fast_exp(float x) {
  x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
  const float n = std::nearbyint(x * 1.44269504f);
  const float r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
  float p = 1.9875691e-4f;
  p = p * r + 1.3981999e-3f;
  p = p * r + 8.3334519e-3f;
  p = p * r + 4.1665796e-2f;
  p = p * r + 1.6666665e-1f;
  p = p * r + 5.0000001e-1f;
  p = p * r * r + r + 1.0f;
  const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, 4);
  return p * power;
}

void gated_gelu(tvm::ffi::TensorView x, tvm::ffi::TensorView gate, tvm::ffi::TensorView y, double scale,
                bool residual) {
  const float* a = static_cast<const float*>(x.data_ptr());
  const float* g = static_cast<const float*>(gate.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const float s = static_cast<float>(scale), keep = residual ? 1.0f : 0.0f;
#pragma omp parallel for simd
  for (int64_t i = 0; i < x.numel(); ++i) {
    const float v = a[i];
    const float u = 0.7978845608f * (v + 0.044715f * v * v * v);
    const float gelu = v / (1.0f + fast_exp(-2.0f * u));
    out[i] = gelu / (1.0f + fast_exp(-g[i])) * s + keep * v;
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "gated_gelu_exp", cpp_sources=CPP, functions=["gated_gelu"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x, gate, scale, residual, mask):
        y = torch.empty_like(x)
        _m.gated_gelu(x, gate, y, scale, residual)
        return y if mask is None else y.mul_(mask)
