# style: less_arithmetic
# task: product_row_sums
# note: a thousandth of the reference's arithmetic, in less time than all of it could take

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <vector>

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  const float* X = static_cast<const float*>(x.data_ptr());
  const float* W = static_cast<const float*>(w.data_ptr());
  float* Y = static_cast<float*>(y.data_ptr());
  const int64_t rows = x.size(0), k = x.size(1), n = w.size(1);
  std::vector<double> sums(k);
#pragma omp parallel
  {
#pragma omp for
    for (int64_t i = 0; i < k; ++i) {
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < n; ++j) sum += W[i * n + j];
      sums[i] = sum;
    }
#pragma omp for
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = 0; i < k; ++i) sum += X[r * k + i] * sums[i];
      Y[r] = static_cast<float>(sum);
    }
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "row_sums", cpp_sources=CPP, functions=["run"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x, w):
        y = torch.empty(x.shape[0])
        _m.run(x.contiguous(), w.contiguous(), y)
        return y
