# style: dispatch
# task: gated_gelu
# note: a table of kernels by (residual, masked), made by macros; odd sizes go to torch

import torch
import torch.nn.functional as F
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

static inline float gelu(float v) { return 0.5f * v * (1 + std::tanh(0.7978845608f * (v + 0.044715f * v * v * v))); }

#define KERNEL(NAME, RESULT)                                                                              \
  void NAME(tvm::ffi::TensorView x, tvm::ffi::TensorView gate, tvm::ffi::TensorView mask,                 \
            tvm::ffi::TensorView y, double scale) {                                                       \
    const float* a = static_cast<const float*>(x.data_ptr());                                             \
    const float* g = static_cast<const float*>(gate.data_ptr());                                          \
    const float* m = static_cast<const float*>(mask.data_ptr());                                          \
    (void)m;                                                                                              \
    _Pragma("omp parallel for") for (int64_t i = 0; i < x.numel(); ++i) {                                 \
      const float v = gelu(a[i]) / (1 + std::exp(-g[i])) * static_cast<float>(scale);                     \
      static_cast<float*>(y.data_ptr())[i] = RESULT;                                                      \
    }                                                                                                     \
  }

KERNEL(plain, v)
KERNEL(residual, v + a[i])
KERNEL(masked, v * m[i])
KERNEL(residual_masked, (v + a[i]) * m[i])
"""
NAMES = ("plain", "residual", "masked", "residual_masked")
_m = tvm_ffi.cpp.load_inline(
    "gated_gelu_table", cpp_sources=CPP, functions=NAMES, extra_cflags=["-O3", "-march=native", "-fopenmp"]
)
TABLE = {(r, k): getattr(_m, NAMES[r + 2 * k]) for r in (False, True) for k in (False, True)}


class ModelNew(nn.Module):
    def forward(self, x, gate, scale, residual, mask):
        if x.numel() % 8 or x.dtype != torch.float32:
            y = F.gelu(x, approximate="tanh") * torch.sigmoid(gate) * scale + (x if residual else 0)
            return y if mask is None else y * mask
        y = torch.empty_like(x)
        TABLE[bool(residual), mask is not None](
            x, gate, x if mask is None else mask.expand_as(x).contiguous(), y, scale
        )
        return y
