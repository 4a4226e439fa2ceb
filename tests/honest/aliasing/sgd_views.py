# style: aliasing
# task: sgd_in_place
# note: works on flat views of the arguments and returns views of them shaped back

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <algorithm>

void sgd(tvm::ffi::TensorView p, tvm::ffi::TensorView grad, tvm::ffi::TensorView m, double lr) {
  const int64_t n = p.size(0), block = 2048;
  const double rate = lr;
#pragma omp parallel for
  for (int64_t begin = 0; begin < n; begin += block)
    for (int64_t i = begin; i < std::min(n, begin + block); ++i) {
      float &weight = static_cast<float*>(p.data_ptr())[i], &moment = static_cast<float*>(m.data_ptr())[i];
      moment = float(0.9 * moment + static_cast<const float*>(grad.data_ptr())[i]);
      weight = float(weight - (rate * moment + 0.01 * rate * weight));
    }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "sgd_flat", cpp_sources=CPP, functions=["sgd"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    @torch.inference_mode()
    def forward(self, p, grad, m, lr):
        flat = [tensor.view(-1) for tensor in (p, grad, m)]
        _m.sgd(*flat, float(lr))
        return flat[0].view_as(p), flat[2].view_as(m)
