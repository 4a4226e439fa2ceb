# style: memory
# task: sgd_in_place
# note: non-temporal stores and a fence, with the same values rewritten by plain stores at the unaligned ends

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cstdint>
#include <immintrin.h>

void sgd(tvm::ffi::TensorView p, tvm::ffi::TensorView grad, tvm::ffi::TensorView m, double lr) {
  float *a = static_cast<float*>(p.data_ptr()), *moment = static_cast<float*>(m.data_ptr());
  const float* g = static_cast<const float*>(grad.data_ptr());
  const float rate = static_cast<float>(lr);
  const int64_t n = p.numel();
  int64_t i = 0;
#ifdef __AVX2__
  if (reinterpret_cast<uintptr_t>(a) % 32 == 0 && reinterpret_cast<uintptr_t>(moment) % 32 == 0)
    for (; i + 8 <= n; i += 8) {
      const __m256 old = _mm256_load_ps(moment + i), w = _mm256_load_ps(a + i);
      const __m256 now = _mm256_add_ps(_mm256_mul_ps(old, _mm256_set1_ps(0.9f)), _mm256_loadu_ps(g + i));
      const __m256 step = _mm256_add_ps(_mm256_mul_ps(_mm256_set1_ps(rate), now),
                                        _mm256_mul_ps(_mm256_set1_ps(0.01f * rate), w));
      _mm256_stream_ps(moment + i, now);
      _mm256_stream_ps(a + i, _mm256_sub_ps(w, step));
    }
  _mm_sfence();
#endif
  for (; i < n; ++i) {
    moment[i] = 0.9f * moment[i] + g[i];
    a[i] -= rate * moment[i] + 0.01f * rate * a[i];
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "sgd_streams", cpp_sources=CPP, functions=["sgd"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, p, grad, m, lr):
        _m.sgd(p, grad, m, lr)
        return [p, m]
