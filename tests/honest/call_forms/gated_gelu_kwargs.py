# style: call_forms
# task: gated_gelu
# note: forward takes *args and **kwargs, the constructor too, and ignores most of them

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void gated_gelu(tvm::ffi::TensorView x, tvm::ffi::TensorView gate, tvm::ffi::TensorView y, double scale,
                bool residual) {
  const float* a = static_cast<const float*>(x.data_ptr());
  const float* g = static_cast<const float*>(gate.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
#pragma omp parallel for
  for (int64_t i = 0; i < x.numel(); ++i) {
    const float v = a[i];
    const float gelu = 0.5f * v * (1 + std::tanh(0.7978845608028654f * (v + 0.044715f * v * v * v)));
    out[i] = gelu / (1 + std::exp(-g[i])) * static_cast<float>(scale) + (residual ? v : 0.0f);
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "gated_gelu", cpp_sources=CPP, functions=["gated_gelu"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, *args, **kwargs):
        super().__init__()
        self.ignored = (args, kwargs)

    def forward(self, *args, **kwargs):
        x, gate, scale, residual, mask = args
        y = torch.empty_like(x)
        _m.gated_gelu(x, gate, y, kwargs.get("scale", scale), residual)
        return y if mask is None else y * mask
