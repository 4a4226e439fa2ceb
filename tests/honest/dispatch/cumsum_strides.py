# style: dispatch
# task: cumsum_f64
# note: reads the transposed input through its strides, with another loop order for each layout

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
void down_columns(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), n = x.size(1), step = x.stride(1);
  const double* in = static_cast<const double*>(x.data_ptr());
  double* out = static_cast<double*>(y.data_ptr());
  for (int64_t r = 0; r < rows; ++r) out[r * n] = in[r * x.stride(0)];
  for (int64_t i = 1; i < n; ++i)
    for (int64_t r = 0; r < rows; ++r) out[r * n + i] = out[r * n + i - 1] + in[r * x.stride(0) + i * step];
}

void along_rows(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), n = x.size(1);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i)
      static_cast<double*>(y.data_ptr())[r * n + i] = sum += static_cast<const double*>(x.data_ptr())[r * n + i];
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "cumsum",
    cpp_sources=CPP,
    functions=["down_columns", "along_rows"],
    extra_cflags=["-O3", "-march=native", "-fopenmp"],
)


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty(x.shape, dtype=x.dtype)
        (_m.along_rows if x.is_contiguous() else _m.down_columns)(x, y)
        return y
