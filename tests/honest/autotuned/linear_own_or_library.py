# style: autotuned
# task: linear_relu
# note: for each number of rows the first call times its own product against torch.mm and keeps the faster

import time

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
void product(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), k = x.size(1), n = w.size(0);
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = 0; i < k; ++i)
        sum += static_cast<const float*>(x.data_ptr())[r * k + i] * static_cast<const float*>(w.data_ptr())[j * k + i];
      static_cast<float*>(y.data_ptr())[r * n + j] = sum;
    }
}

void bias_relu_(tvm::ffi::TensorView y, tvm::ffi::TensorView b) {
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t n = b.size(0);
  for (int64_t i = 0; i < y.numel(); ++i) {
    const float v = out[i] + static_cast<const float*>(b.data_ptr())[i % n];
    out[i] = v > 0 ? v : 0;
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "linear_or_library",
    cpp_sources=CPP,
    functions=["product", "bias_relu_"],
    extra_cflags=["-O3", "-march=native", "-fopenmp"],
)
_choice: dict = {}


def library(x, w, y):
    torch.mm(x, w.t(), out=y)


def seconds(function, *args):
    function(*args)
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


class ModelNew(nn.Module):
    def __init__(self, features, out):
        super().__init__()
        self.linear = nn.Linear(features, out)

    def forward(self, x):
        weight, bias = self.linear.weight.detach(), self.linear.bias.detach()
        y = x.new_empty(x.shape[0], weight.shape[0])
        if x.shape not in _choice:
            _choice[x.shape] = min((_m.product, library), key=lambda kernel: seconds(kernel, x, weight, y))
        _choice[x.shape](x, weight, y)
        _m.bias_relu_(y, bias)
        return y
