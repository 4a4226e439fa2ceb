# style: library_beside
# task: embedding_mean
# note: torch gathers with index_select, the kernel averages

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
void mean_middle(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), words = x.size(1), d = x.size(2);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < d; ++i) {
      float sum = 0;
      for (int64_t w = 0; w < words; ++w) sum += static_cast<const float*>(x.data_ptr())[(r * words + w) * d + i];
      static_cast<float*>(y.data_ptr())[r * d + i] = sum * (1.0f / words);
    }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "mean_middle", cpp_sources=CPP, functions=["mean_middle"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, words, width):
        super().__init__()
        self.table = nn.Embedding(words, width)

    def forward(self, tokens):
        vectors = self.table.weight.index_select(0, tokens.flatten()).view(*tokens.shape, -1)
        y = vectors.new_empty(vectors.shape[0], vectors.shape[2])
        _m.mean_middle(vectors, y)
        return y
