# style: module_state
# task: kv_cache
# note: the kernel writes the new key and value into the module's cache and counts the positions

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#include <cstring>
#include <vector>

void step(tvm::ffi::TensorView q, tvm::ffi::TensorView k, tvm::ffi::TensorView v, tvm::ffi::TensorView keys,
          tvm::ffi::TensorView values, tvm::ffi::TensorView used, tvm::ffi::TensorView y) {
  const int64_t heads = keys.size(0), length = keys.size(1), d = keys.size(2);
  int64_t* count = static_cast<int64_t*>(used.data_ptr());
  const int64_t at = *count % length;
  ++*count;
#pragma omp parallel for
  for (int64_t h = 0; h < heads; ++h) {
    float* own_keys = static_cast<float*>(keys.data_ptr()) + h * length * d;
    float* own_values = static_cast<float*>(values.data_ptr()) + h * length * d;
    std::memcpy(own_keys + at * d, static_cast<const float*>(k.data_ptr()) + h * d, d * sizeof(float));
    std::memcpy(own_values + at * d, static_cast<const float*>(v.data_ptr()) + h * d, d * sizeof(float));
    const float* query = static_cast<const float*>(q.data_ptr()) + h * d;
    std::vector<float> score(at + 1);
    float top = -INFINITY, sum = 0;
    for (int64_t j = 0; j <= at; ++j) {
      float dot = 0;
      for (int64_t e = 0; e < d; ++e) dot += query[e] * own_keys[j * d + e];
      score[j] = dot / std::sqrt(static_cast<float>(d));
      top = score[j] > top ? score[j] : top;
    }
    for (float& s : score) sum += s = std::exp(s - top);
    float* out = static_cast<float*>(y.data_ptr()) + h * d;
    for (int64_t e = 0; e < d; ++e) out[e] = 0;
    for (int64_t j = 0; j <= at; ++j)
      for (int64_t e = 0; e < d; ++e) out[e] += score[j] / sum * own_values[j * d + e];
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "kv_step", cpp_sources=CPP, functions=["step"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, heads, length, width):
        super().__init__()
        for name in ("keys", "values"):
            self.register_buffer(name, torch.zeros(heads, length, width))
        self.register_buffer("used", torch.zeros(1, dtype=torch.long))

    def forward(self, q, k, v):
        y = torch.empty_like(q)
        _m.step(q, k, v, self.keys, self.values, self.used, y)
        return y
