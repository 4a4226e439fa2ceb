# style: scratch
# task: cross_entropy
# note: losses of rows go to a reused buffer; the kernel returns their sum as a plain number, made a tensor in Python

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

double cross_entropy_sum(tvm::ffi::TensorView logits, tvm::ffi::TensorView targets, tvm::ffi::TensorView losses) {
  const int64_t rows = logits.size(0), n = logits.size(1);
  double* out = static_cast<double*>(losses.data_ptr());
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(logits.data_ptr()) + r * n;
    double top = a[0], sum = 0;
    for (int64_t i = 1; i < n; ++i) top = a[i] > top ? a[i] : top;
    for (int64_t i = 0; i < n; ++i) sum += std::exp(a[i] - top);
    out[r] = std::log(sum) + top - a[static_cast<const int64_t*>(targets.data_ptr())[r]];
  }
  double total = 0;
  for (int64_t r = 0; r < rows; ++r) total += out[r];
  return total;
}
"""
_m = tvm_ffi.cpp.load_inline(
    "cross_entropy_sum",
    cpp_sources=CPP,
    functions=["cross_entropy_sum"],
    extra_cflags=["-O3", "-march=native", "-fopenmp"],
)
_losses = {}


class ModelNew(nn.Module):
    def forward(self, logits, targets):
        rows = logits.shape[0]
        buffer = _losses.setdefault(rows, torch.empty(rows, dtype=torch.float64))
        return torch.tensor(_m.cross_entropy_sum(logits, targets, buffer) / rows, dtype=logits.dtype)
