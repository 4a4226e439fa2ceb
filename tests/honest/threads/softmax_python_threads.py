# style: threads
# task: softmax
# note: a Python thread pool calls the kernel on halves of the rows; the runtime releases nothing, so it gains nothing

from concurrent.futures import ThreadPoolExecutor

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void softmax(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), n = x.size(1);
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
_m = tvm_ffi.cpp.load_inline(
    "softmax_rows", cpp_sources=CPP, functions=["softmax"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)
_pool = ThreadPoolExecutor(max_workers=2)


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        parts = zip(x.chunk(2), y.chunk(2))
        for done in [_pool.submit(_m.softmax, a, b) for a, b in parts]:
            done.result()
        return y
