# style: module_state
# task: rms_norm_bf16
# note: the weight lives in a ParameterDict under another name; a float32 copy is a buffer refreshed on load

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#include <cstring>

static float widen(uint16_t h) {
  const uint32_t bits = uint32_t(h) << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

void rms_norm(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y, double eps) {
  const int64_t n = w.size(0), rows = x.numel() / n;
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const uint16_t* a = static_cast<const uint16_t*>(x.data_ptr()) + r * n;
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += double(widen(a[i])) * widen(a[i]);
    const float scale = float(1 / std::sqrt(sum / n + eps));
    float* out = static_cast<float*>(y.data_ptr()) + r * n;
    for (int64_t i = 0; i < n; ++i) out[i] = widen(a[i]) * scale * static_cast<const float*>(w.data_ptr())[i];
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "rms_norm_dict", cpp_sources=CPP, functions=["rms_norm"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, features, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weights = nn.ParameterDict({"gain": nn.Parameter(torch.ones(features, dtype=torch.bfloat16))})
        self.wide = None

    def forward(self, x):
        if self.wide is None:
            self.wide = self.weights["gain"].detach().float()
        y = torch.empty(x.shape, dtype=torch.float32)
        _m.rms_norm(x, self.wide, y, self.eps)
        return y.bfloat16()
