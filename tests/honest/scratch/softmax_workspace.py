# style: scratch
# task: softmax
# note: row maxima and sums live in a workspace that is made once for a number of rows and reused by every call

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <algorithm>
#include <cmath>

void softmax(tvm::ffi::TensorView x, tvm::ffi::TensorView work, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), n = x.size(1);
  const float* in = static_cast<const float*>(x.data_ptr());
  float* top = static_cast<float*>(work.data_ptr());
  float* sum = top + rows;
  float* out = static_cast<float*>(y.data_ptr());
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) top[r] = *std::max_element(in + r * n, in + (r + 1) * n);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    sum[r] = 0;
    for (int64_t i = r * n; i < (r + 1) * n; ++i) {
      out[i] = std::exp(in[i] - top[r]);
      sum[r] += out[i];
    }
  }
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = r * n; i < (r + 1) * n; ++i) out[i] /= sum[r];
}
"""
_ext = tvm_ffi.cpp.load_inline(
    "softmax", cpp_sources=CPP, functions=["softmax"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.workspace = torch.empty(0)

    def forward(self, x):
        if self.workspace.numel() < 2 * x.shape[0]:
            self.workspace = torch.empty(2 * x.shape[0])
        y = torch.empty_like(x)
        _ext.softmax(x, self.workspace, y)
        return y
