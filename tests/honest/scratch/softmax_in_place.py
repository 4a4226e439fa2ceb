# style: scratch
# task: softmax
# note: copies the input into the result and works on that in place, several passes

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void softmax_(tvm::ffi::TensorView y) {
  const int64_t rows = y.size(0), n = y.size(1);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    float* a = static_cast<float*>(y.data_ptr()) + r * n;
    float top = a[0];
    for (int64_t i = 1; i < n; ++i) top = a[i] > top ? a[i] : top;
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += a[i] = std::exp(a[i] - top);
    const float inverse = static_cast<float>(1.0 / sum);
    for (int64_t i = 0; i < n; ++i) a[i] *= inverse;
  }
}
"""
inplace = tvm_ffi.cpp.load_inline(
    name="softmax_in_place", cpp_sources=[CPP], functions="softmax_", extra_cflags=["-O2", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        y = x.clone(memory_format=torch.contiguous_format)
        inplace.softmax_(y)
        return y
