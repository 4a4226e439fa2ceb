# style: lazy_build
# task: softmax
# note: the extension is built by the first forward, behind functools.lru_cache

import functools

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void softmax(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), n = x.size(1);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    float* b = static_cast<float*>(y.data_ptr()) + r * n;
    float top = a[0], sum = 0;
    for (int64_t i = 1; i < n; ++i) top = a[i] > top ? a[i] : top;
    for (int64_t i = 0; i < n; ++i) sum += b[i] = std::exp(a[i] - top);
    for (int64_t i = 0; i < n; ++i) b[i] /= sum;
  }
}
"""


@functools.lru_cache(maxsize=None)
def extension():
    return tvm_ffi.cpp.load_inline(
        "lazy_softmax", cpp_sources=CPP, functions=["softmax"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
    )


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        extension().softmax(x, y)
        return y
