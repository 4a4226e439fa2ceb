# style: tunables
# task: layer_norm
# note: parameters switch streaming stores and prefetching on and off

import torch
import tvm_ffi.cpp
from torch import nn

PARAMS = {"STREAM": 1, "AHEAD": 64}
SPACE = {"STREAM": [0, 1], "AHEAD": [0, 64, 256]}

CPP = (
    "\n".join(f"#define {name} {value}" for name, value in PARAMS.items())
    + r"""
#include <cmath>
#include <immintrin.h>

void layer_norm(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y,
                double eps) {
  const int64_t n = w.size(0), rows = x.numel() / n;
  const float* scale = static_cast<const float*>(w.data_ptr());
  const float* shift = static_cast<const float*>(b.data_ptr());
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    float* out = static_cast<float*>(y.data_ptr()) + r * n;
    float sum = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) {
#if AHEAD
      if (i % 16 == 0) __builtin_prefetch(a + i + AHEAD, 0, 1);
#endif
      sum += a[i];
    }
    const float mean = sum / n;
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < n; ++i) squares += (a[i] - mean) * (a[i] - mean);
    const float inverse = 1 / std::sqrt(squares / n + static_cast<float>(eps));
    int64_t i = 0;
#if STREAM && defined(__AVX2__)
    if (reinterpret_cast<uintptr_t>(out) % 32 == 0)
      for (; i + 8 <= n; i += 8) {
        const __m256 d = _mm256_sub_ps(_mm256_loadu_ps(a + i), _mm256_set1_ps(mean));
        const __m256 s = _mm256_mul_ps(_mm256_set1_ps(inverse), _mm256_loadu_ps(scale + i));
        _mm256_stream_ps(out + i, _mm256_add_ps(_mm256_mul_ps(d, s), _mm256_loadu_ps(shift + i)));
      }
#endif
    for (; i < n; ++i) out[i] = (a[i] - mean) * (inverse * scale[i]) + shift[i];
  }
  _mm_sfence();
}
"""
)
_m = tvm_ffi.cpp.load_inline(
    "layer_norm_streams", cpp_sources=CPP, functions=["layer_norm"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.norm = nn.LayerNorm(features)

    def forward(self, x):
        y = torch.empty_like(x)
        _m.layer_norm(x, self.norm.weight, self.norm.bias, y, self.norm.eps)
        return y
