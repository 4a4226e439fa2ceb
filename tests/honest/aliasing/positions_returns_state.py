# style: aliasing
# task: scaled_positions
# note: returns its own parameter and a view of its buffer, as the reference does; a kernel template for two dtypes

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
template <typename T>
static void run(tvm::ffi::TensorView x, tvm::ffi::TensorView scale, tvm::ffi::TensorView table,
                tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), n = x.size(1);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i)
      static_cast<T*>(y.data_ptr())[r * n + i] =
          static_cast<const T*>(x.data_ptr())[r * n + i] * static_cast<const T*>(scale.data_ptr())[i] +
          static_cast<const T*>(table.data_ptr())[r * n + i];
}

void scale_add(tvm::ffi::TensorView x, tvm::ffi::TensorView scale, tvm::ffi::TensorView table, tvm::ffi::TensorView y) {
  x.dtype().bits == 64 ? run<double>(x, scale, table, y) : run<float>(x, scale, table, y);
}
"""
_m = tvm_ffi.cpp.load_inline(
    "scale_add", cpp_sources=CPP, functions=["scale_add"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, positions, width):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.register_buffer("table", torch.sin(torch.arange(positions * width, dtype=torch.float32)).view(-1, width))

    def forward(self, x):
        used, y = self.table[: x.shape[0]], torch.empty_like(x)
        _m.scale_add(x, self.scale, used, y)
        return y, self.scale, used
