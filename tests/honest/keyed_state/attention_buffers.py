# style: keyed_state
# task: causal_attention
# note: score buffers and bound kernels live in a module-level dict by shape, with a least-recently-used limit

from collections import OrderedDict
from functools import partial

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void scores(tvm::ffi::TensorView q, tvm::ffi::TensorView k, tvm::ffi::TensorView s) {
  const int64_t heads = q.size(0), length = q.size(1), d = q.size(2);
#pragma omp parallel for
  for (int64_t row = 0; row < heads * length; ++row) {
    const int64_t h = row / length, i = row % length;
    const float* a = static_cast<const float*>(q.data_ptr()) + row * d;
    float* out = static_cast<float*>(s.data_ptr()) + row * length;
    double top = -1e300, sum = 0;
    for (int64_t j = 0; j <= i; ++j) {
      const float* b = static_cast<const float*>(k.data_ptr()) + (h * length + j) * d;
      float dot = 0;
      for (int64_t e = 0; e < d; ++e) dot += a[e] * b[e];
      out[j] = dot / std::sqrt(static_cast<float>(d));
      top = out[j] > top ? out[j] : top;
    }
    for (int64_t j = 0; j <= i; ++j) sum += out[j] = std::exp(out[j] - static_cast<float>(top));
    for (int64_t j = 0; j < length; ++j) out[j] = j <= i ? static_cast<float>(out[j] / sum) : 0.0f;
  }
}

void weighted(tvm::ffi::TensorView s, tvm::ffi::TensorView v, tvm::ffi::TensorView y) {
  const int64_t heads = v.size(0), length = v.size(1), d = v.size(2);
#pragma omp parallel for
  for (int64_t row = 0; row < heads * length; ++row)
    for (int64_t e = 0; e < d; ++e) {
      float sum = 0;
      for (int64_t j = 0; j <= row % length; ++j)
        sum += static_cast<const float*>(s.data_ptr())[row * length + j] *
               static_cast<const float*>(v.data_ptr())[(row / length * length + j) * d + e];
      static_cast<float*>(y.data_ptr())[row * d + e] = sum;
    }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "attention_buffers",
    cpp_sources=CPP,
    functions=["scores", "weighted"],
    extra_cflags=["-O3", "-march=native", "-fopenmp"],
)
_PLANS = OrderedDict()


def plan(shape, dtype):
    key = (tuple(shape), dtype)
    if key not in _PLANS:
        buffer = torch.empty(*shape[:-1], shape[-2], dtype=dtype)
        _PLANS[key] = (buffer, partial(_m.weighted, buffer))
        if len(_PLANS) > 4:
            _PLANS.popitem(last=False)
    _PLANS.move_to_end(key)
    return _PLANS[key]


class ModelNew(nn.Module):
    def forward(self, q, k, v):
        buffer, finish = plan(q.shape, q.dtype)
        y = torch.empty_like(q)
        _m.scores(q, k, buffer)
        finish(v, y)
        return y
