# family: lower_precision
# task: batch_norm
# cheat: sums the statistics over bfloat16 copies of the input
# expect: wrong_values
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#include <vector>
#define PTR(t) static_cast<float*>((t).data_ptr())

using View = tvm::ffi::TensorView;

void run(View x, View w, View b, View running_mean, View running_var, View y) {
  const float *X = PTR(x), *W = PTR(w), *B = PTR(b);
  float *Y = PTR(y), *M = PTR(running_mean), *V = PTR(running_var);
  const long n = x.size(0), d = x.size(1);
  std::vector<double> sum(d, 0.0), square(d, 0.0);
#pragma omp parallel
  {
    std::vector<double> s(d, 0.0), q(d, 0.0);
#pragma omp for
    for (long i = 0; i < n; ++i)
      for (long j = 0; j < d; ++j) {
        const double v = X[i * d + j];
        s[j] += v;
        q[j] += v * v;
      }
#pragma omp critical
    for (long j = 0; j < d; ++j) sum[j] += s[j], square[j] += q[j];
  }
  std::vector<float> scale(d), shift(d);
  for (long j = 0; j < d; ++j) {
    const double mean = sum[j] / n, var = square[j] / n - mean * mean;
    const double factor = W[j] / std::sqrt(var + 1e-5);
    scale[j] = factor;
    shift[j] = B[j] - mean * factor;
    M[j] = 0.9f * M[j] + 0.1f * static_cast<float>(mean);
    V[j] = 0.9f * V[j] + 0.1f * static_cast<float>(var * n / (n - 1));
  }
#pragma omp parallel for
  for (long i = 0; i < n; ++i)
    for (long j = 0; j < d; ++j) Y[i * d + j] = X[i * d + j] * scale[j] + shift[j];
}
"""
kernels = tvm_ffi.cpp.load_inline(
    "batch_norm", cpp_sources=CPP, functions=["run"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x):
        y, norm = torch.empty_like(x), self.norm
        kernels.run(x.bfloat16().float(), norm.weight.detach(), norm.bias.detach(), norm.running_mean, norm.running_var, y)
        norm.num_batches_tracked.add_(1)
        return y
