# style: aliasing
# task: sgd_in_place
# note: updates its arguments in place and returns them, as the reference does

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
void sgd(tvm::ffi::TensorView p, tvm::ffi::TensorView grad, tvm::ffi::TensorView m, double lr) {
  float* a = static_cast<float*>(p.data_ptr());
  float* momentum = static_cast<float*>(m.data_ptr());
  const float rate = static_cast<float>(lr);
#pragma omp parallel for simd
  for (int64_t i = 0; i < p.numel(); ++i) {
    momentum[i] = 0.9f * momentum[i] + static_cast<const float*>(grad.data_ptr())[i];
    a[i] -= rate * momentum[i] + 0.01f * rate * a[i];
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "sgd", cpp_sources=CPP, functions=["sgd"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, p, grad, m, lr):
        _m.sgd(p, grad, m, lr)
        return p, m
