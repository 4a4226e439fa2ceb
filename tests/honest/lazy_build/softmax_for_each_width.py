# style: lazy_build
# task: softmax
# note: a kernel with the row's length as a constant is built when a length is met for the first time

import torch
import tvm_ffi.cpp
from torch import nn

TEMPLATE = r"""
#include <cmath>

constexpr int64_t N = @N@;

void softmax(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * N;
    float* b = static_cast<float*>(y.data_ptr()) + r * N;
    float top = a[0], sum = 0;
    for (int64_t i = 1; i < N; ++i) top = a[i] > top ? a[i] : top;
    for (int64_t i = 0; i < N; ++i) sum += b[i] = std::exp(a[i] - top);
    for (int64_t i = 0; i < N; ++i) b[i] /= sum;
  }
}
"""


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.kernels = {}

    def kernel(self, width):
        if width not in self.kernels:
            module = tvm_ffi.cpp.load_inline(
                f"softmax_{width}",
                cpp_sources=TEMPLATE.replace("@N@", str(width)),
                functions=["softmax"],
                extra_cflags=["-O3", "-march=native", "-fopenmp"],
            )
            self.kernels[width] = module.softmax
        return self.kernels[width]

    def forward(self, x):
        y = torch.empty_like(x)
        self.kernel(x.shape[-1])(x, y)
        return y
