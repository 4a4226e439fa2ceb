# style: library_beside
# task: sgd_in_place
# note: torch updates the momentum in place, the kernel the parameters

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
void step(tvm::ffi::TensorView p, tvm::ffi::TensorView m, double lr, double decay) {
  float* a = static_cast<float*>(p.data_ptr());
  const float* momentum = static_cast<const float*>(m.data_ptr());
#pragma omp parallel for simd
  for (int64_t i = 0; i < p.numel(); ++i)
    a[i] -= static_cast<float>(lr) * momentum[i] + static_cast<float>(decay) * a[i];
}
"""
_m = tvm_ffi.cpp.load_inline("sgd_step", cpp_sources=CPP, functions=["step"], extra_cflags=["-O3", "-fopenmp"])


class ModelNew(nn.Module):
    def forward(self, p, grad, m, lr):
        torch.add(grad, m, alpha=0.9, out=m)
        _m.step(p, m, lr, 0.01 * lr)
        return (p, m)
