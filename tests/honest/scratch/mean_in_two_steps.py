# style: scratch
# task: mean_to_half
# note: sums of rows stay in a workspace, and what the last call left there would be right for this one, too

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
void row_sums(tvm::ffi::TensorView x, tvm::ffi::TensorView sums) {
  const int64_t rows = x.size(0), n = x.size(1);
  const float* in = static_cast<const float*>(x.data_ptr());
  double* out = static_cast<double*>(sums.data_ptr());
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; ++i) sum += in[r * n + i];
    out[r] = sum;
  }
}
"""
_ext = tvm_ffi.cpp.load_inline(
    "mean", cpp_sources=CPP, functions=["row_sums"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.sums = {}

    def forward(self, x):
        sums = self.sums.setdefault(x.shape, torch.empty(x.shape[0], dtype=torch.float64))
        _ext.row_sums(x, sums)
        return (sums.sum() / x.numel()).half()
