# style: autotuned
# task: layer_norm
# note: the number of threads is found by the first calls for a shape, one trial in each call

import time

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void layer_norm(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y,
                double eps, int64_t threads) {
  const int64_t n = w.size(0), rows = x.numel() / n;
#pragma omp parallel for num_threads(threads)
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    float* out = static_cast<float*>(y.data_ptr()) + r * n;
    float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; ++i) sum += a[i];
    const float mean = sum / n;
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < n; ++i) squares += (a[i] - mean) * (a[i] - mean);
    const float inverse = 1 / std::sqrt(squares / n + static_cast<float>(eps));
    for (int64_t i = 0; i < n; ++i)
      out[i] = (a[i] - mean) * inverse * static_cast<const float*>(w.data_ptr())[i] +
               static_cast<const float*>(b.data_ptr())[i];
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "layer_norm_tuned", cpp_sources=CPP, functions=["layer_norm"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)
CHOICES = sorted({1, 2, torch.get_num_threads()})


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.trials = {}

    def forward(self, x):
        times = self.trials.setdefault(x.shape, {})
        untried = [count for count in CHOICES if count not in times]
        threads = untried[0] if untried else min(times, key=times.get)
        y = torch.empty_like(x)
        start = time.perf_counter_ns()
        _m.layer_norm(x, self.norm.weight, self.norm.bias, y, self.norm.eps, threads)
        times.setdefault(threads, time.perf_counter_ns() - start)
        return y
