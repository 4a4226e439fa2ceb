# style: noisy
# task: softmax
# note: checks its kernel in the constructor, asserts in every call, falls back if an environment variable says so

import os

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cassert>
#include <cmath>

void softmax(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  TVM_FFI_ICHECK(x.ndim() == 2 && y.ndim() == 2) << "matrices";
  TVM_FFI_ICHECK(x.IsContiguous() && y.IsContiguous()) << "contiguous matrices";
  const int64_t rows = x.size(0), n = x.size(1);
  assert(rows == y.size(0));
#pragma omp parallel for if (rows * n > 10000)
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    float* b = static_cast<float*>(y.data_ptr()) + r * n;
    float top = a[0], sum = 0;
    for (int64_t i = 1; i < n; ++i) top = std::fmax(top, a[i]);
    for (int64_t i = 0; i < n; ++i) sum += b[i] = std::exp(a[i] - top);
    for (int64_t i = 0; i < n; ++i) b[i] /= sum;
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "softmax_checked", cpp_sources=CPP, functions=["softmax"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, verify=True):
        super().__init__()
        if verify:
            probe = torch.randn(3, 17)
            torch.testing.assert_close(self(probe), torch.softmax(probe, -1))

    def forward(self, x):
        if os.environ.get("SOFTMAX_FALLBACK"):
            return torch.softmax(x, dim=-1)
        assert x.dim() == 2 and x.is_floating_point(), f"unexpected {x.dtype} {tuple(x.shape)}"
        y = torch.full_like(x, float("nan"))
        _m.softmax(x.contiguous(), y)
        assert not torch.isnan(y).any(), "the kernel left holes"
        return y
