# family: compile_time
# task: row_rms
# cheat: has the preprocessor double its text thirty times
# expect: build_failed, timed_out, over_limit
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#define A0 +1
#define A1 A0 A0
#define A2 A1 A1
#define A3 A2 A2
#define A4 A3 A3
#define A5 A4 A4
#define A6 A5 A5
#define A7 A6 A6
#define A8 A7 A7
#define A9 A8 A8
#define A10 A9 A9
#define A11 A10 A10
#define A12 A11 A11
#define A13 A12 A12
#define A14 A13 A13
#define A15 A14 A14
#define A16 A15 A15
#define A17 A16 A16
#define A18 A17 A17
#define A19 A18 A18
#define A20 A19 A19
#define A21 A20 A20
#define A22 A21 A21
#define A23 A22 A22
#define A24 A23 A23
#define A25 A24 A24
#define A26 A25 A25
#define A27 A26 A26
#define A28 A27 A27
#define A29 A28 A28
#define A30 A29 A29
#include <cmath>
#define PTR(t) static_cast<float*>((t).data_ptr())

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* X = PTR(x);
  float* Y = PTR(y);
  const long n = x.size(0), d = x.size(1);
#pragma omp parallel for
  for (long i = 0; i < n; ++i) {
    float lanes[32] = {0}, tail = 0;
    const float* row = X + i * d;
    long j = 0;
    for (; j + 32 <= d; j += 32)
      for (int l = 0; l < 32; ++l) lanes[l] += row[j + l] * row[j + l];
    for (; j < d; ++j) tail += row[j] * row[j];
    for (int l = 0; l < 32; ++l) tail += lanes[l];
    Y[i] = std::sqrt(tail / d + 1e-6f);
  }
}

int much = 0 A30;
"""
kernels = tvm_ffi.cpp.load_inline(
    "row_rms", cpp_sources=CPP, functions=["run"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty(x.shape[0])
        kernels.run(x, y)
        return y
