# style: dispatch
# task: linear_relu
# note: one kernel for a single row, another for many, torch for anything that is not contiguous float32

import torch
import torch.nn.functional as F
import tvm_ffi.cpp
from torch import nn

CPP = r"""
static float dot(const float* a, const float* b, int64_t k) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < k; ++i) sum += a[i] * b[i];
  return sum;
}

void one_row(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y) {
  const int64_t k = x.size(1), n = w.size(0);
  for (int64_t j = 0; j < n; ++j) {
    const float v = dot(static_cast<const float*>(x.data_ptr()), static_cast<const float*>(w.data_ptr()) + j * k, k) +
                    static_cast<const float*>(b.data_ptr())[j];
    static_cast<float*>(y.data_ptr())[j] = v > 0 ? v : 0;
  }
}

void many_rows(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), k = x.size(1), n = w.size(0), block = 32;
#pragma omp parallel for
  for (int64_t r0 = 0; r0 < rows; r0 += block)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t r = r0; r < rows && r < r0 + block; ++r) {
        const float v = dot(static_cast<const float*>(x.data_ptr()) + r * k,
                            static_cast<const float*>(w.data_ptr()) + j * k, k) +
                        static_cast<const float*>(b.data_ptr())[j];
        static_cast<float*>(y.data_ptr())[r * n + j] = v > 0 ? v : 0;
      }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "linear_by_rows",
    cpp_sources=CPP,
    functions={"one_row": "for a single row", "many_rows": "for any number"},
    extra_cflags=["-O3", "-march=native", "-fopenmp"],
)


class ModelNew(nn.Module):
    def __init__(self, features, out):
        super().__init__()
        self.linear = nn.Linear(features, out)

    def forward(self, x):
        if x.dim() != 2 or x.dtype is not torch.float32 or not x.is_contiguous():
            return F.relu(self.linear(x))
        y = x.new_empty(x.shape[0], self.linear.out_features)
        kernel = _m.one_row if x.shape[0] == 1 else _m.many_rows
        kernel(x, self.linear.weight, self.linear.bias, y)
        return y
