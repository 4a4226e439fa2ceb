# style: several_kernels
# task: row_statistics
# note: one kernel for each of the four outputs, integers and booleans among them; returns a list where a tuple is due

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#define ROWS(x) const int64_t rows = x.size(0), n = x.size(1)
#define ROW(x, r) (static_cast<const float*>(x.data_ptr()) + (r) * n)

static double mean_of(const float* a, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i];
  return sum / n;
}

void mean(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  ROWS(x);
  for (int64_t r = 0; r < rows; ++r) static_cast<float*>(y.data_ptr())[r] = float(mean_of(ROW(x, r), n));
}

void variance(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  ROWS(x);
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = ROW(x, r);
    const double m = mean_of(a, n);
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += (a[i] - m) * (a[i] - m);
    static_cast<float*>(y.data_ptr())[r] = float(sum / (n - 1));
  }
}

void argmax(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  ROWS(x);
  for (int64_t r = 0; r < rows; ++r) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; ++i)
      if (ROW(x, r)[i] > ROW(x, r)[best]) best = i;
    static_cast<int64_t*>(y.data_ptr())[r] = best;
  }
}

void any_above(tvm::ffi::TensorView x, tvm::ffi::TensorView y, double threshold) {
  ROWS(x);
  for (int64_t r = 0; r < rows; ++r) {
    bool found = false;
    for (int64_t i = 0; i < n; ++i) found |= ROW(x, r)[i] > threshold;
    static_cast<bool*>(y.data_ptr())[r] = found;
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "row_statistics",
    cpp_sources=CPP,
    functions=["mean", "variance", "argmax", "any_above"],
    extra_cflags=["-O3", "-march=native", "-fopenmp"],
)


class ModelNew(nn.Module):
    def forward(self, x):
        rows = x.shape[0]
        mean, variance = x.new_empty(rows), x.new_empty(rows)
        place, found = torch.empty(rows, dtype=torch.long), torch.empty(rows, dtype=torch.bool)
        _m.mean(x, mean)
        _m.variance(x, variance)
        _m.argmax(x, place)
        _m.any_above(x, found, 3.0)
        return [mean, variance, place, found]
