# style: lazy_build
# task: softmax
# note: the extension is built by the constructor and kept on the class

import torch
from torch import nn

SOURCE = r"""
#include <cmath>
#include <vector>

void softmax(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), n = x.size(1);
#pragma omp parallel
  {
    std::vector<double> e(n);
#pragma omp for
    for (int64_t r = 0; r < rows; ++r) {
      const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
      float* b = static_cast<float*>(y.data_ptr()) + r * n;
      float top = a[0];
      for (int64_t i = 1; i < n; ++i) top = a[i] > top ? a[i] : top;
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += e[i] = std::exp(static_cast<double>(a[i]) - top);
      for (int64_t i = 0; i < n; ++i) b[i] = static_cast<float>(e[i] / sum);
    }
  }
}
"""


class ModelNew(nn.Module):
    _built = None

    def __init__(self):
        super().__init__()
        if ModelNew._built is None:
            from tvm_ffi.cpp import load_inline

            ModelNew._built = load_inline(
                name="softmax_in_init", cpp_sources=SOURCE, functions=["softmax"], extra_cflags=["-O3", "-fopenmp"]
            )

    def forward(self, x):
        y = torch.empty_like(x)
        self._built.softmax(x, y)
        return y
