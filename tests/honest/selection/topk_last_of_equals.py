# style: selection
# task: topk_gate
# note: keeps the best in a sorted list, and of equal scores the last, which torch's topk leaves open

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#include <cstdint>
#include <vector>

void topk_gate(tvm::ffi::TensorView x, tvm::ffi::TensorView y, int64_t k) {
  const int64_t n = x.size(1), rows = x.size(0);
  const float* X = static_cast<const float*>(x.data_ptr());
  float* Y = static_cast<float*>(y.data_ptr());
#pragma omp parallel
  {
    std::vector<float> best(k + 1);
    std::vector<int64_t> where(k + 1);
#pragma omp for
    for (int64_t row = 0; row < rows; ++row) {
      const float* a = X + row * n;
      float* b = Y + row * n;
      int64_t held = 0;
      for (int64_t i = 0; i < n; ++i) {
        int64_t at = held < k ? held++ : k;
        for (; at > 0 && a[i] >= best[at - 1]; --at) {
          best[at] = best[at - 1];
          where[at] = where[at - 1];
        }
        best[at] = a[i];
        where[at] = i;
        b[i] = 0;
      }
      float total = 0;
      for (int64_t j = 0; j < k; ++j) total += std::exp(best[j] - best[0]);
      for (int64_t j = 0; j < k; ++j) b[where[j]] = std::exp(best[j] - best[0]) / total;
    }
  }
}
"""
kernels = tvm_ffi.cpp.load_inline(
    "topk_gate", cpp_sources=CPP, functions=["topk_gate"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, chosen):
        super().__init__()
        self.chosen = chosen

    def forward(self, scores):
        scores = scores.contiguous()
        y = torch.empty_like(scores)
        kernels.topk_gate(scores, y, self.chosen)
        return y
