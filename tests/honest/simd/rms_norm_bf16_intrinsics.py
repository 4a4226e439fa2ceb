# style: simd
# task: rms_norm_bf16
# note: bfloat16 is widened by shifting, rounded back to nearest even by integer arithmetic; plain path for the tail

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#include <cstring>
#include <immintrin.h>

static float widen(uint16_t bits) {
  const uint32_t wide = uint32_t(bits) << 16;
  float value;
  std::memcpy(&value, &wide, 4);
  return value;
}

static uint16_t narrow(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

void rms_norm(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y, double eps) {
  const int64_t n = w.size(0), rows = x.numel() / n;
  const uint16_t* weight = static_cast<const uint16_t*>(w.data_ptr());
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const uint16_t* a = static_cast<const uint16_t*>(x.data_ptr()) + r * n;
    uint16_t* out = static_cast<uint16_t*>(y.data_ptr()) + r * n;
    float sum = 0;
    int64_t i = 0;
#ifdef __AVX2__
    __m256 sums = _mm256_setzero_ps();
    for (; i + 8 <= n; i += 8) {
      const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a + i)));
      const __m256 v = _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
      sums = _mm256_add_ps(sums, _mm256_mul_ps(v, v));
    }
    alignas(32) float lanes[8];
    _mm256_store_ps(lanes, sums);
    for (float lane : lanes) sum += lane;
#endif
    for (; i < n; ++i) sum += widen(a[i]) * widen(a[i]);
    const float scale = 1.0f / std::sqrt(sum / n + static_cast<float>(eps));
    for (int64_t j = 0; j < n; ++j) out[j] = narrow(widen(a[j]) * scale * widen(weight[j]));
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "rms_norm_bf16", cpp_sources=CPP, functions=["rms_norm"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, features, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features, dtype=torch.bfloat16))
        self.eps = eps

    def forward(self, x):
        y = torch.empty_like(x)
        _m.rms_norm(x, self.weight, y, self.eps)
        return y
