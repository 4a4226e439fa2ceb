# style: memory
# task: normalize_f16
# note: scratch from aligned_alloc in a smart pointer, kept for each thread; the widened input fits into it

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>

struct Free {
  void operator()(void* p) const { std::free(p); }
};

static double* scratch(int64_t count) {
  static thread_local std::unique_ptr<double, Free> held;
  static thread_local int64_t room = 0;
  if (count > room) {
    const size_t bytes = (count * sizeof(double) + 63) / 64 * 64;
    held.reset(static_cast<double*>(std::aligned_alloc(64, bytes)));
    room = count;
  }
  std::memset(held.get(), 0, count * sizeof(double));
  return held.get();
}

void normalize(tvm::ffi::TensorView x, tvm::ffi::TensorView unit, tvm::ffi::TensorView length) {
  const int64_t rows = x.size(0), n = x.size(1);
  const _Float16* in = static_cast<const _Float16*>(x.data_ptr());
  double* sums = scratch(n);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i) sums[i] += double(in[r * n + i]) * double(in[r * n + i]);
  float* lengths = static_cast<float*>(length.data_ptr());
  for (int64_t i = 0; i < n; ++i) lengths[i] = std::sqrt(sums[i]) > 1e-6 ? float(std::sqrt(sums[i])) : 1e-6f;
  for (int64_t i = 0; i < rows * n; ++i)
    static_cast<_Float16*>(unit.data_ptr())[i] = _Float16(float(in[i]) / lengths[i % n]);
}
"""
_m = tvm_ffi.cpp.load_inline(
    "normalize_aligned", cpp_sources=CPP, functions=["normalize"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        x = x.contiguous()
        unit, length = torch.empty_like(x), x.new_empty(x.shape[1], dtype=torch.float32)
        _m.normalize(x, unit, length)
        return dict(unit=unit, length=length)
