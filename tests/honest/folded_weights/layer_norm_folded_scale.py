# style: folded_weights
# task: layer_norm
# note: scale and shift are interleaved into one buffer when the parameters' versions change

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void layer_norm(tvm::ffi::TensorView x, tvm::ffi::TensorView pairs, tvm::ffi::TensorView y, double eps) {
  const int64_t n = pairs.size(0), rows = x.numel() / n;
  const float* p = static_cast<const float*>(pairs.data_ptr());
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    float* out = static_cast<float*>(y.data_ptr()) + r * n;
    float sum = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) sum += a[i];
    const float mean = sum / n;
    for (int64_t i = 0; i < n; ++i) squares += (a[i] - mean) * (a[i] - mean);
    const float inverse = 1 / std::sqrt(squares / n + static_cast<float>(eps));
    for (int64_t i = 0; i < n; ++i) out[i] = (a[i] - mean) * inverse * p[2 * i] + p[2 * i + 1];
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "layer_norm_pairs", cpp_sources=CPP, functions=["layer_norm"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self._pairs = None

    def forward(self, x):
        versions = (self.norm.weight._version, self.norm.bias._version)
        if self._pairs is None or self._pairs[0] != versions:
            self._pairs = (versions, torch.stack([self.norm.weight, self.norm.bias], dim=1).contiguous())
        y = torch.empty_like(x)
        _m.layer_norm(x, self._pairs[1], y, self.norm.eps)
        return y
