# style: keyed_state
# task: normalize_f16
# note: plans by shape and strides in a WeakKeyDictionary of the module; index buffers are kept, results are fresh

import weakref

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void normalize(tvm::ffi::TensorView x, tvm::ffi::TensorView offsets, tvm::ffi::TensorView sums,
               tvm::ffi::TensorView unit, tvm::ffi::TensorView length) {
  const int64_t rows = x.size(0), n = x.size(1);
  const _Float16* in = static_cast<const _Float16*>(x.data_ptr());
  const int32_t* at = static_cast<const int32_t*>(offsets.data_ptr());
  double* squares = static_cast<double*>(sums.data_ptr());
  for (int64_t i = 0; i < n; ++i) squares[i] = 0;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i) {
      const double v = in[at[r] + i * x.stride(1)];
      squares[i] += v * v;
    }
  for (int64_t i = 0; i < n; ++i) {
    const float root = static_cast<float>(std::sqrt(squares[i])), l = root > 1e-6f ? root : 1e-6f;
    static_cast<float*>(length.data_ptr())[i] = l;
    for (int64_t r = 0; r < rows; ++r)
      static_cast<_Float16*>(unit.data_ptr())[r * n + i] = _Float16(float(in[at[r] + i * x.stride(1)]) / l);
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "normalize_plans", cpp_sources=CPP, functions=["normalize"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)
_plans = weakref.WeakKeyDictionary()


class ModelNew(nn.Module):
    def forward(self, x):
        plans = _plans.setdefault(self, {})
        key = (x.shape, x.stride())
        if key not in plans:
            plans[key] = (
                torch.arange(x.shape[0], dtype=torch.int32) * x.stride(0),
                torch.empty(x.shape[1], dtype=torch.float64),
            )
        unit, length = torch.empty(x.shape, dtype=torch.half), torch.empty(x.shape[1])
        _m.normalize(x, *plans[key], unit, length)
        return {"unit": unit, "length": length}
