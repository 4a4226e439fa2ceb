# style: call_forms
# task: normalize_f16
# note: returns the dictionary's entries in another order; half precision is converted by _Float16

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#include <vector>

void normalize(tvm::ffi::TensorView x, tvm::ffi::TensorView unit, tvm::ffi::TensorView length) {
  const int64_t rows = x.size(0), n = x.size(1);
  const _Float16* in = static_cast<const _Float16*>(x.data_ptr());
  _Float16* out = static_cast<_Float16*>(unit.data_ptr());
  std::vector<double> sums(n);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i) {
      const float v = in[r * x.stride(0) + i * x.stride(1)];
      sums[i] += v * v;
    }
  float* lengths = static_cast<float*>(length.data_ptr());
  for (int64_t i = 0; i < n; ++i) lengths[i] = std::fmax(static_cast<float>(std::sqrt(sums[i])), 1e-6f);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i)
      out[r * n + i] = static_cast<_Float16>(float(in[r * x.stride(0) + i * x.stride(1)]) / lengths[i]);
}
"""
_m = tvm_ffi.cpp.load_inline(
    "normalize_half", cpp_sources=CPP, functions=["normalize"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        unit, length = torch.empty(x.shape, dtype=x.dtype), torch.empty(x.shape[1])
        _m.normalize(x, unit, length)
        return {"length": length, "unit": unit}
