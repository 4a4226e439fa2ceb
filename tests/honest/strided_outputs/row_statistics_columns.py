# style: strided_outputs
# task: row_statistics
# note: mean and variance are columns of one wide buffer, in which every row has a cache line of its own

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
void statistics(tvm::ffi::TensorView x, tvm::ffi::TensorView lines, tvm::ffi::TensorView place) {
  const int64_t rows = x.size(0), n = x.size(1), pitch = lines.size(1);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    float* line = static_cast<float*>(lines.data_ptr()) + r * pitch;
    double sum = 0, squares = 0;
    int64_t best = 0;
    for (int64_t i = 0; i < n; ++i) {
      sum += a[i];
      if (a[i] > a[best]) best = i;
    }
    for (int64_t i = 0; i < n; ++i) squares += (a[i] - sum / n) * (a[i] - sum / n);
    line[0] = static_cast<float>(sum / n);
    line[1] = static_cast<float>(squares / (n - 1));
    line[2] = a[best];
    static_cast<int64_t*>(place.data_ptr())[r] = best;
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "row_lines", cpp_sources=CPP, functions=["statistics"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        lines, place = x.new_empty(x.shape[0], 16), torch.empty(x.shape[0], dtype=torch.int64)
        _m.statistics(x, lines, place)
        return lines[:, 0], lines[:, 1], place, lines[:, 2] > 3
