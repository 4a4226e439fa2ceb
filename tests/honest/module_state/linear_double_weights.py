# style: module_state
# task: linear_relu
# note: weights are kept in float64 and in column order; products are summed in float64

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
void linear_relu(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), k = x.size(1), n = w.size(0);
  const double* c = static_cast<const double*>(w.data_ptr());
  const int64_t row_stride = w.stride(0), column_stride = w.stride(1);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * k;
    for (int64_t j = 0; j < n; ++j) {
      double sum = static_cast<const double*>(b.data_ptr())[j];
      for (int64_t i = 0; i < k; ++i) sum += a[i] * c[j * row_stride + i * column_stride];
      static_cast<float*>(y.data_ptr())[r * n + j] = sum > 0 ? static_cast<float>(sum) : 0;
    }
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "linear_double", cpp_sources=CPP, functions=["linear_relu"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class Weights(nn.Module):
    def __init__(self, features, out):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(features, out, dtype=torch.float64).t())
        self.bias = nn.Parameter(torch.zeros(out, dtype=torch.float64))


class ModelNew(nn.Module):
    def __init__(self, features, out):
        super().__init__()
        self.linear = Weights(features, out)

    def forward(self, x):
        y = x.new_empty(x.shape[0], self.linear.bias.shape[0])
        _m.linear_relu(x, self.linear.weight, self.linear.bias, y)
        return y
