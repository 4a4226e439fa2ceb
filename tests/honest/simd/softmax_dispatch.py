# style: simd
# task: softmax
# note: AVX-512, AVX2 and plain versions, one of which is chosen while running by what the processor has

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#include <immintrin.h>

static float max_plain(const float* a, int64_t n) {
  float top = a[0];
  for (int64_t i = 1; i < n; ++i) top = a[i] > top ? a[i] : top;
  return top;
}

__attribute__((target("avx2"))) static float max_avx2(const float* a, int64_t n) {
  if (n < 8) return max_plain(a, n);
  __m256 top = _mm256_loadu_ps(a);
  int64_t i = 8;
  for (; i + 8 <= n; i += 8) top = _mm256_max_ps(top, _mm256_loadu_ps(a + i));
  alignas(32) float lanes[8];
  _mm256_store_ps(lanes, top);
  const float tail = i < n ? max_plain(a + i, n - i) : lanes[0];
  const float body = max_plain(lanes, 8);
  return body > tail ? body : tail;
}

__attribute__((target("avx512f"))) static float max_avx512(const float* a, int64_t n) {
  __m512 top = _mm512_set1_ps(a[0]);
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = n - i >= 16 ? 0xffff : (1u << (n - i)) - 1;
    top = _mm512_mask_max_ps(top, live, top, _mm512_maskz_loadu_ps(live, a + i));
  }
  return _mm512_reduce_max_ps(top);
}

void softmax(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  __builtin_cpu_init();
  float (*row_max)(const float*, int64_t) = __builtin_cpu_supports("avx512f") ? max_avx512
                                            : __builtin_cpu_supports("avx2")  ? max_avx2
                                                                              : max_plain;
  const int64_t rows = x.size(0), n = x.size(1);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    float* b = static_cast<float*>(y.data_ptr()) + r * n;
    const float top = row_max(a, n);
    float sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += b[i] = std::exp(a[i] - top);
    for (int64_t i = 0; i < n; ++i) b[i] /= sum;
  }
}
"""
_k = tvm_ffi.cpp.load_inline(
    "softmax_simd", cpp_sources=CPP, functions=["softmax"], extra_cflags=["-O3", "-fopenmp"], extra_ldflags=["-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        out = torch.empty_like(x)
        _k["softmax"](x, out)
        return out
