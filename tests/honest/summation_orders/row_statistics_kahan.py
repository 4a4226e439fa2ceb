# style: summation_orders
# task: row_statistics
# note: Kahan's compensated sums in float32, protected from the optimiser

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#pragma GCC optimize("no-fast-math")

struct Kahan {
  float sum = 0, lost = 0;
  void add(float value) {
    const float y = value - lost;
    const float t = sum + y;
    lost = (t - sum) - y;
    sum = t;
  }
};

void statistics(tvm::ffi::TensorView x, tvm::ffi::TensorView mean, tvm::ffi::TensorView variance,
                tvm::ffi::TensorView place, tvm::ffi::TensorView found) {
  const int64_t rows = x.size(0), n = x.size(1);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    Kahan sum, squares;
    int64_t best = 0;
    for (int64_t i = 0; i < n; ++i) {
      sum.add(a[i]);
      best = a[i] > a[best] ? i : best;
    }
    const float m = sum.sum / static_cast<float>(n);
    for (int64_t i = 0; i < n; ++i) squares.add((a[i] - m) * (a[i] - m));
    static_cast<float*>(mean.data_ptr())[r] = m;
    static_cast<float*>(variance.data_ptr())[r] = squares.sum / static_cast<float>(n - 1);
    static_cast<int64_t*>(place.data_ptr())[r] = best;
    static_cast<bool*>(found.data_ptr())[r] = a[best] > 3.0f;
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "row_kahan", cpp_sources=CPP, functions=["statistics"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        mean, variance = torch.empty(x.shape[:-1]), torch.empty(x.shape[:-1])
        place, found = torch.empty_like(mean, dtype=torch.int64), torch.empty_like(mean, dtype=torch.bool)
        _m.statistics(x, mean, variance, place, found)
        return mean, variance, place, found
