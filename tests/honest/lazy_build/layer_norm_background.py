# style: lazy_build
# task: layer_norm
# note: a thread builds while the module goes on loading; the first forward waits for it

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

CPP = r"""
#include <cmath>

void layer_norm(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y,
                double eps) {
  const int64_t n = w.size(0), rows = x.numel() / n;
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) sum += a[i];
    for (int64_t i = 0; i < n; ++i) squares += (a[i] - sum / n) * (a[i] - sum / n);
    const double inverse = 1 / std::sqrt(squares / n + eps);
    for (int64_t i = 0; i < n; ++i)
      static_cast<float*>(y.data_ptr())[r * n + i] =
          float((a[i] - sum / n) * inverse * static_cast<const float*>(w.data_ptr())[i] +
                static_cast<const float*>(b.data_ptr())[i]);
  }
}
"""


def build():
    from tvm_ffi.cpp import load_inline

    return load_inline(
        "layer_norm_background", cpp_sources=CPP, functions=["layer_norm"], extra_cflags=["-O3", "-fopenmp"]
    )


_builder = ThreadPoolExecutor(1)
_module = _builder.submit(build)


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.norm = nn.LayerNorm(features)

    def forward(self, x):
        y = torch.empty_like(x)
        _module.result().layer_norm(x, self.norm.weight, self.norm.bias, y, self.norm.eps)
        return y
