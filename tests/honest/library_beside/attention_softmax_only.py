# style: library_beside
# task: causal_attention
# note: two torch.baddbmm and bmm calls around a kernel that masks and normalises in place

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void causal_softmax_(tvm::ffi::TensorView s) {
  const int64_t heads = s.size(0), length = s.size(1);
#pragma omp parallel for collapse(2)
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t i = 0; i < length; ++i) {
      float* a = static_cast<float*>(s.data_ptr()) + (h * length + i) * length;
      float top = a[0], sum = 0;
      for (int64_t j = 1; j <= i; ++j) top = a[j] > top ? a[j] : top;
      for (int64_t j = 0; j <= i; ++j) sum += a[j] = std::exp(a[j] - top);
      for (int64_t j = 0; j <= i; ++j) a[j] /= sum;
      for (int64_t j = i + 1; j < length; ++j) a[j] = 0;
    }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "causal_softmax", cpp_sources=CPP, functions=["causal_softmax_"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, q, k, v):
        scores = torch.baddbmm(q.new_empty(1), q, k.mT, beta=0, alpha=q.shape[-1] ** -0.5)
        _m.causal_softmax_(scores)
        return torch.bmm(scores, v)
