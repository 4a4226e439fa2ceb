# style: module_state
# task: kv_cache
# note: buffers are replaced by new tensors in each call instead of being written to

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void attend(tvm::ffi::TensorView q, tvm::ffi::TensorView keys, tvm::ffi::TensorView values, tvm::ffi::TensorView y,
            int64_t count) {
  const int64_t heads = keys.size(0), length = keys.size(1), d = keys.size(2);
  for (int64_t h = 0; h < heads; ++h) {
    const float* query = static_cast<const float*>(q.data_ptr()) + h * d;
    float* out = static_cast<float*>(y.data_ptr()) + h * d;
    double top = -INFINITY, total = 0;
    for (int64_t e = 0; e < d; ++e) out[e] = 0;
    for (int64_t j = 0; j < count; ++j) {
      const float* key = static_cast<const float*>(keys.data_ptr()) + (h * length + j) * d;
      const float* value = static_cast<const float*>(values.data_ptr()) + (h * length + j) * d;
      double dot = 0;
      for (int64_t e = 0; e < d; ++e) dot += query[e] * key[e];
      dot /= std::sqrt(double(d));
      const double higher = dot > top ? dot : top, shrink = std::exp(top - higher), p = std::exp(dot - higher);
      total = total * shrink + p;
      for (int64_t e = 0; e < d; ++e) out[e] = float(out[e] * shrink + p * value[e]);
      top = higher;
    }
    for (int64_t e = 0; e < d; ++e) out[e] = float(out[e] / total);
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "kv_attend", cpp_sources=CPP, functions=["attend"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, heads, length, width):
        super().__init__()
        self.register_buffer("keys", torch.zeros(heads, length, width))
        self.register_buffer("values", torch.zeros(heads, length, width))
        self.register_buffer("used", torch.zeros(1, dtype=torch.int64))

    def forward(self, q, k, v):
        at = int(self.used.item()) % self.keys.shape[1]
        keys, values = self.keys.clone(), self.values.clone()
        keys[:, at], values[:, at] = k, v
        self.keys, self.values, self.used = keys, values, self.used + 1
        y = torch.empty_like(q)
        _m.attend(q, keys, values, y, at + 1)
        return y
