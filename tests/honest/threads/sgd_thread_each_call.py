# style: threads
# task: sgd_in_place
# note: calls of a tenth of a millisecond, each of which starts a thread of its own and joins it

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <thread>

static void update(float* p, const float* g, float* m, float lr, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    m[i] = 0.9f * m[i] + g[i];
    p[i] -= lr * m[i] + 0.01f * lr * p[i];
  }
}

void step(tvm::ffi::TensorView p, tvm::ffi::TensorView g, tvm::ffi::TensorView m, double lr) {
  float* parameters = static_cast<float*>(p.data_ptr());
  const float* gradients = static_cast<const float*>(g.data_ptr());
  float* momentum = static_cast<float*>(m.data_ptr());
  const int64_t n = p.numel(), half = n / 2;
  std::thread other(update, parameters, gradients, momentum, static_cast<float>(lr), int64_t{0}, half);
  update(parameters, gradients, momentum, static_cast<float>(lr), half, n);
  other.join();
}
"""
_m = tvm_ffi.cpp.load_inline(
    "sgd_threads",
    cpp_sources=CPP,
    functions=["step"],
    extra_cflags=["-O3", "-march=native", "-pthread"],
    extra_ldflags=["-pthread"],
)


class ModelNew(nn.Module):
    def forward(self, p, grad, m, lr):
        _m.step(p, grad, m, lr)
        return p, m
