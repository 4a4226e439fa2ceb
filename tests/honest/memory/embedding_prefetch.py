# style: memory
# task: embedding_mean
# note: prefetches the rows of the next words while the present one is added

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
void mean_of_words(tvm::ffi::TensorView table, tvm::ffi::TensorView tokens, tvm::ffi::TensorView y) {
  const int64_t rows = tokens.size(0), words = tokens.size(1), d = table.size(1), limit = table.size(0);
  const float* vectors = static_cast<const float*>(table.data_ptr());
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t* word = static_cast<const int64_t*>(tokens.data_ptr()) + r * words;
    float* out = static_cast<float*>(y.data_ptr()) + r * d;
    for (int64_t i = 0; i < d; ++i) out[i] = 0;
    for (int64_t w = 0; w < words; ++w) {
      if (w + 2 < words)
        for (int64_t i = 0; i < d; i += 16) __builtin_prefetch(vectors + word[w + 2] * d + i);
      if (word[w] < 0 || word[w] >= limit) continue;
      for (int64_t i = 0; i < d; ++i) out[i] += vectors[word[w] * d + i];
    }
    for (int64_t i = 0; i < d; ++i) out[i] /= static_cast<float>(words);
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "word_mean", cpp_sources=CPP, functions=["mean_of_words"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, words, width):
        super().__init__()
        self.table = nn.Embedding(words, width)

    def forward(self, tokens):
        y = torch.empty(tokens.shape[0], self.table.embedding_dim)
        _m.mean_of_words(self.table.weight, tokens, y)
        return y
