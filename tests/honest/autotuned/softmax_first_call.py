# style: autotuned
# task: softmax
# note: the first call for a shape times three kernels on the real input and keeps the fastest

import time

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

template <int BLOCK>
static void softmax_rows(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), n = x.size(1);
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
#pragma omp parallel for schedule(dynamic, BLOCK)
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = in + r * n;
    float* b = out + r * n;
    float top = a[0];
    for (int64_t i = 1; i < n; ++i) top = a[i] > top ? a[i] : top;
    float sums[BLOCK] = {};
    for (int64_t i = 0; i < n; ++i) {
      b[i] = std::exp(a[i] - top);
      sums[i % BLOCK] += b[i];
    }
    float sum = 0;
    for (float s : sums) sum += s;
    for (int64_t i = 0; i < n; ++i) b[i] /= sum;
  }
}

void softmax_4(tvm::ffi::TensorView x, tvm::ffi::TensorView y) { softmax_rows<4>(x, y); }
void softmax_8(tvm::ffi::TensorView x, tvm::ffi::TensorView y) { softmax_rows<8>(x, y); }
void softmax_16(tvm::ffi::TensorView x, tvm::ffi::TensorView y) { softmax_rows<16>(x, y); }
"""
NAMES = ["softmax_4", "softmax_8", "softmax_16"]
_lib = tvm_ffi.cpp.load_inline(
    "tuned_softmax", cpp_sources=CPP, functions=NAMES, extra_cflags=["-O3", "-march=native", "-fopenmp"]
)
_best = {}


def _tune(x, y):
    times = {}
    for name in NAMES:
        kernel = getattr(_lib, name)
        kernel(x, y)
        start = time.perf_counter()
        for _ in range(3):
            kernel(x, y)
        times[name] = time.perf_counter() - start
    return getattr(_lib, min(times, key=times.get))


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        key = tuple(x.shape)
        if key not in _best:
            _best[key] = _tune(x, y)
        _best[key](x, y)
        return y
