# style: summation_orders
# task: cumsum_f64
# note: blocks are summed apart, their totals are scanned, and added: another order than the reference's

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <vector>

void cumsum(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), n = x.size(1), block = 64;
  const double* in = static_cast<const double*>(x.data_ptr());
  double* out = static_cast<double*>(y.data_ptr());
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<double> totals;
    for (int64_t begin = 0; begin < n; begin += block) {
      double sum = 0;
      for (int64_t i = begin; i < n && i < begin + block; ++i) out[r * n + i] = sum += in[r * n + i];
      totals.push_back(sum);
    }
    double before = 0;
    for (int64_t begin = 0; begin < n; begin += block) {
      for (int64_t i = begin; i < n && i < begin + block; ++i) out[r * n + i] += before;
      before += totals[begin / block];
    }
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "cumsum_blocks", cpp_sources=CPP, functions=["cumsum"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        x = x.contiguous()
        y = torch.empty_like(x)
        _m.cumsum(x, y)
        return y
