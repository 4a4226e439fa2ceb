# style: simd
# task: layer_norm
# note: GCC's vector extensions, eight chains, no intrinsics

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#include <cstring>

typedef float v8 __attribute__((vector_size(32)));

static v8 load(const float* p) {
  v8 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

static float total(v8 v) {
  float sum = 0;
  for (int i = 0; i < 8; ++i) sum += v[i];
  return sum;
}

void layer_norm(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y,
                double eps) {
  const int64_t n = w.size(0), rows = x.numel() / n;
  TVM_FFI_ICHECK(n % 8 == 0) << "rows must be a multiple of eight";
  const float* scale = static_cast<const float*>(w.data_ptr());
  const float* shift = static_cast<const float*>(b.data_ptr());
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    float* out = static_cast<float*>(y.data_ptr()) + r * n;
    v8 sum = {}, squares = {};
    for (int64_t i = 0; i < n; i += 8) sum += load(a + i);
    const float mean = total(sum) / static_cast<float>(n);
    for (int64_t i = 0; i < n; i += 8) {
      const v8 d = load(a + i) - mean;
      squares += d * d;
    }
    const float inverse = 1.0f / std::sqrt(total(squares) / static_cast<float>(n) + static_cast<float>(eps));
    for (int64_t i = 0; i < n; i += 8) {
      const v8 v = (load(a + i) - mean) * inverse * load(scale + i) + load(shift + i);
      std::memcpy(out + i, &v, sizeof v);
    }
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "layer_norm_v8", cpp_sources=CPP, functions=["layer_norm"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.norm = nn.LayerNorm(features)

    def forward(self, x):
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        _m.layer_norm(x.contiguous(), self.norm.weight, self.norm.bias, y, self.norm.eps)
        return y
