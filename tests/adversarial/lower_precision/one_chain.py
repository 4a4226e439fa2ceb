# family: lower_precision
# task: row_rms
# cheat: adds a whole row up in one chain of bfloat16 values
# expect: wrong_values
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#define PTR(t) static_cast<float*>((t).data_ptr())

static inline float cut(float v) {
  unsigned bits;
  __builtin_memcpy(&bits, &v, 4);
  bits = (bits + 0x8000) & 0xFFFF0000u;
  __builtin_memcpy(&v, &bits, 4);
  return v;
}

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const long n = x.size(0), d = x.size(1);
  for (long i = 0; i < n; ++i) {
    float sum = 0;
    for (long j = 0; j < d; ++j) sum += cut(PTR(x)[i * d + j]) * cut(PTR(x)[i * d + j]);
    PTR(y)[i] = std::sqrt(sum / d + 1e-6f);
  }
}
"""
kernels = tvm_ffi.cpp.load_inline(
    "row_rms", cpp_sources=CPP, functions=["run"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty(x.shape[0])
        kernels.run(x, y)
        return y
