# style: tunables
# task: softmax
# note: PARAMS, SPACE and CONSTRAINTS for the tuner; the values become macros

import torch
import tvm_ffi.cpp
from torch import nn

PARAMS = {"CHAINS": 4, "ROWS": 2}
SPACE = {"CHAINS": [1, 2, 4, 8], "ROWS": [1, 2, 4]}
CONSTRAINTS = ["CHAINS * ROWS <= 16"]

CPP = (
    "".join(f"#define {name} {value}\n" for name, value in PARAMS.items())
    + r"""
#include <cmath>

void softmax(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), n = x.size(1);
#pragma omp parallel for schedule(static, ROWS)
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    float* b = static_cast<float*>(y.data_ptr()) + r * n;
    float top = a[0];
    for (int64_t i = 1; i < n; ++i) top = a[i] > top ? a[i] : top;
    float sum[CHAINS] = {};
    for (int64_t i = 0; i < n; ++i) sum[i % CHAINS] += b[i] = std::exp(a[i] - top);
    for (int c = 1; c < CHAINS; ++c) sum[0] += sum[c];
    for (int64_t i = 0; i < n; ++i) b[i] /= sum[0];
  }
}
"""
)
kernels = tvm_ffi.cpp.load_inline(
    "softmax_params", cpp_sources=CPP, functions=["softmax"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        kernels.softmax(x, y)
        return y
