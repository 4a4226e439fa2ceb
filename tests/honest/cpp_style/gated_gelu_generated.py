# style: cpp_style
# task: gated_gelu
# note: a hundred specialised functions written by a Python loop, picked by a switch

import torch
import tvm_ffi.cpp
from torch import nn

HEAD = r"""
#include <cmath>

static inline float one(float v, float g, float s, float keep) {
  return 0.5f * v * (1 + std::tanh(0.7978845608f * (v + 0.044715f * v * v * v))) / (1 + std::exp(-g)) * s + keep * v;
}
"""
TAILS = "".join(
    f"static void tail_{n}(const float* a, const float* g, float* y, float s, float keep) {{\n"
    + "".join(f"  y[{i}] = one(a[{i}], g[{i}], s, keep);\n" for i in range(n))
    + "}\n"
    for n in range(1, 64)
)
SWITCH = "".join(f"    case {n}: tail_{n}(a + i, g + i, y + i, s, keep); break;\n" for n in range(1, 64))
BODY = r"""
static void range(const float* a, const float* g, float* y, float s, float keep, int64_t i, int64_t end) {
  for (; i + 64 <= end; i += 64)
    for (int64_t j = i; j < i + 64; ++j) y[j] = one(a[j], g[j], s, keep);
  switch (end - i) {
@SWITCH@    default: break;
  }
}

void gated_gelu(tvm::ffi::TensorView x, tvm::ffi::TensorView gate, tvm::ffi::TensorView out, double scale,
                bool residual) {
  const int64_t n = x.numel(), block = 1 << 13;
#pragma omp parallel for
  for (int64_t begin = 0; begin < n; begin += block)
    range(static_cast<const float*>(x.data_ptr()), static_cast<const float*>(gate.data_ptr()),
          static_cast<float*>(out.data_ptr()), static_cast<float>(scale), residual ? 1.0f : 0.0f, begin,
          begin + block < n ? begin + block : n);
}
"""
_m = tvm_ffi.cpp.load_inline(
    "gated_gelu_generated",
    cpp_sources=[HEAD, TAILS, BODY.replace("@SWITCH@", SWITCH)],
    functions=["gated_gelu"],
    extra_cflags=["-O1", "-march=native", "-fopenmp"],
)


class ModelNew(nn.Module):
    def forward(self, x, gate, scale, residual, mask):
        y = torch.empty_like(x)
        _m.gated_gelu(x, gate, y, scale, residual)
        return y if mask is None else y * mask
