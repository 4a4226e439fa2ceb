# style: strided_outputs
# task: softmax
# note: rows are padded to a multiple of 64 elements and the result is a view of the rest; short rows are mostly padding

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void softmax(tvm::ffi::TensorView x, tvm::ffi::TensorView y, int64_t n) {
  const int64_t rows = x.size(0), pitch = y.size(1);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    float* b = static_cast<float*>(y.data_ptr()) + r * pitch;
    float top = a[0], sum = 0;
    for (int64_t i = 1; i < n; ++i) top = a[i] > top ? a[i] : top;
    for (int64_t i = 0; i < n; ++i) sum += b[i] = std::exp(a[i] - top);
    for (int64_t i = 0; i < n; ++i) b[i] /= sum;
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "softmax_padded", cpp_sources=CPP, functions=["softmax"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        rows, n = x.shape
        padded = x.new_empty(rows, (n + 63) // 64 * 64)
        _m.softmax(x, padded, n)
        return padded[:, :n]
