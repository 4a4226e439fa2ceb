# style: online
# task: row_statistics
# note: rows are split into parts whose moments and maxima are joined at the end, in a custom OpenMP reduction

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cstdint>

struct Part {
  double count = 0, mean = 0, m2 = 0;
  float top = 0;
  int64_t at = -1;
  void join(const Part& other) {
    if (!other.count) return;
    if (!count) {
      *this = other;
      return;
    }
    const double delta = other.mean - mean, both = count + other.count;
    m2 += other.m2 + delta * delta * count * other.count / both;
    mean += delta * other.count / both;
    count = both;
    if (other.top > top || (other.top == top && other.at < at)) {
      top = other.top;
      at = other.at;
    }
  }
};
#pragma omp declare reduction(merge : Part : omp_out.join(omp_in))

void statistics(tvm::ffi::TensorView x, tvm::ffi::TensorView mean, tvm::ffi::TensorView variance,
                tvm::ffi::TensorView place, tvm::ffi::TensorView found) {
  const int64_t rows = x.size(0), n = x.size(1);
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    Part whole;
#pragma omp parallel for reduction(merge : whole)
    for (int64_t i = 0; i < n; ++i) whole.join(Part{1.0, a[i], 0.0, a[i], i});
    static_cast<float*>(mean.data_ptr())[r] = static_cast<float>(whole.mean);
    static_cast<float*>(variance.data_ptr())[r] = static_cast<float>(whole.m2 / (n - 1));
    static_cast<int64_t*>(place.data_ptr())[r] = whole.at;
    static_cast<bool*>(found.data_ptr())[r] = whole.top > 3;
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "row_parts",
    cpp_sources=CPP,
    functions=["statistics"],
    extra_cflags=["-O3", "-march=native", "-fopenmp"],
    extra_ldflags=["-fopenmp"],
)


class ModelNew(nn.Module):
    def forward(self, x):
        outputs = (
            torch.empty(x.shape[0]),
            torch.empty(x.shape[0]),
            torch.empty(x.shape[0], dtype=torch.int64),
            torch.empty(x.shape[0], dtype=torch.bool),
        )
        _m.statistics(x, *outputs)
        return outputs
