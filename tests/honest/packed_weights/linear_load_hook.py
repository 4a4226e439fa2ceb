# style: packed_weights
# task: linear_relu
# note: packed in the constructor, and again by a hook whenever a state dict is loaded

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
constexpr int64_t TILE = 16;

void linear_relu(tvm::ffi::TensorView x, tvm::ffi::TensorView tiles, tvm::ffi::TensorView b, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), k = x.size(1), n = y.size(1);
  const float* bias = static_cast<const float*>(b.data_ptr());
#pragma omp parallel for collapse(2)
  for (int64_t t = 0; t < (n + TILE - 1) / TILE; ++t)
    for (int64_t r = 0; r < rows; ++r) {
      const float* w = static_cast<const float*>(tiles.data_ptr()) + t * k * TILE;
      const float* a = static_cast<const float*>(x.data_ptr()) + r * k;
      float sum[TILE] = {};
      for (int64_t i = 0; i < k; ++i)
#pragma omp simd
        for (int64_t j = 0; j < TILE; ++j) sum[j] += a[i] * w[i * TILE + j];
      float* out = static_cast<float*>(y.data_ptr()) + r * n;
      for (int64_t j = 0; j < TILE && t * TILE + j < n; ++j) {
        const float v = sum[j] + bias[t * TILE + j];
        out[t * TILE + j] = v > 0 ? v : 0;
      }
    }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "linear_tiles", cpp_sources=CPP, functions=["linear_relu"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, features, out):
        super().__init__()
        self.linear = nn.Linear(features, out)
        self.register_load_state_dict_post_hook(lambda module, _keys: module.pack())
        self.pack()

    def pack(self):
        weight = self.linear.weight.detach()
        out, k = weight.shape
        padded = nn.functional.pad(weight, (0, 0, 0, -out % 16))
        self.register_buffer("tiles", padded.view(-1, 16, k).transpose(1, 2).contiguous(), persistent=False)

    def forward(self, x):
        y = x.new_empty(x.shape[0], self.linear.out_features)
        _m.linear_relu(x, self.tiles, self.linear.bias, y)
        return y
