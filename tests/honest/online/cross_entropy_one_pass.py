# style: online
# task: cross_entropy
# note: the running maximum and sum of every row in one pass, four chains that are joined at the end

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

struct Chain {
  float top = -INFINITY, sum = 0;
  void add(float v) {
    if (v <= top) {
      sum += std::exp(v - top);
    } else {
      sum = sum * std::exp(top - v) + 1;
      top = v;
    }
  }
  void join(const Chain& o) {
    const float higher = o.top > top ? o.top : top;
    if (higher == -INFINITY) return;
    sum = sum * std::exp(top - higher) + o.sum * std::exp(o.top - higher);
    top = higher;
  }
};

void cross_entropy(tvm::ffi::TensorView logits, tvm::ffi::TensorView targets, tvm::ffi::TensorView loss) {
  const int64_t rows = logits.size(0), n = logits.size(1);
  double total = 0;
#pragma omp parallel for reduction(+ : total)
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(logits.data_ptr()) + r * n;
    Chain chains[4];
    for (int64_t i = 0; i < n; ++i) chains[i % 4].add(a[i]);
    for (int c = 1; c < 4; ++c) chains[0].join(chains[c]);
    total += std::log(chains[0].sum) + chains[0].top - a[static_cast<const int64_t*>(targets.data_ptr())[r]];
  }
  *static_cast<float*>(loss.data_ptr()) = static_cast<float>(total / rows);
}
"""
_m = tvm_ffi.cpp.load_inline(
    "cross_entropy_online",
    cpp_sources=CPP,
    functions=["cross_entropy"],
    extra_cflags=["-O3", "-march=native", "-fopenmp"],
)


class ModelNew(nn.Module):
    def forward(self, logits, targets):
        loss = logits.new_empty(1)
        _m.cross_entropy(logits, targets, loss)
        return loss.squeeze(0)
