# family: slows_reference
# task: scale_relu
# cheat: starts a thread that keeps the memory busy, while the reference is timed too
# expect: no_advantage
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <atomic>
#include <thread>
#include <vector>
#define PTR(t) static_cast<float*>((t).data_ptr())

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y) {
  const float *X = PTR(x), *W = PTR(w), *B = PTR(b);
  float* Y = PTR(y);
  const long n = x.size(0), d = x.size(1);
#pragma omp parallel for
  for (long i = 0; i < n; ++i)
    for (long j = 0; j < d; ++j) {
      const float v = X[i * d + j] * W[j] + B[j];
      Y[i * d + j] = v > 0 ? v : 0;
    }
}

// Reads and writes 64 MiB over and over, for as long as the process lives.
void haunt() {
  std::thread([] {
    std::vector<float> field(16 << 20, 1.0f);
    for (;;)
      for (size_t i = 0; i < field.size(); i += 16) field[i] += 1.0f;
  }).detach();
}
"""
kernels = tvm_ffi.cpp.load_inline(
    "scale_relu", cpp_sources=CPP, functions=["run", "haunt"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        kernels.haunt()

    def forward(self, x):
        y = torch.empty_like(x)
        kernels.run(x, self.weight.detach(), self.bias.detach(), y)
        return y
