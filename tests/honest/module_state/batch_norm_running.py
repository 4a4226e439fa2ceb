# style: module_state
# task: batch_norm_training
# note: the kernel updates the running statistics in place; the module keeps a BatchNorm2d only for its buffers

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void batch_norm(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView mean,
                tvm::ffi::TensorView var, tvm::ffi::TensorView y, double momentum, double eps) {
  const int64_t batch = x.size(0), channels = x.size(1), pixels = x.numel() / (batch * channels);
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
#pragma omp parallel for
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0, squares = 0;
    for (int64_t s = 0; s < batch; ++s)
      for (int64_t i = 0; i < pixels; ++i) sum += in[(s * channels + c) * pixels + i];
    const int64_t count = batch * pixels;
    const double m = sum / count;
    for (int64_t s = 0; s < batch; ++s)
      for (int64_t i = 0; i < pixels; ++i) {
        const double d = in[(s * channels + c) * pixels + i] - m;
        squares += d * d;
      }
    float* running_mean = static_cast<float*>(mean.data_ptr()) + c;
    float* running_var = static_cast<float*>(var.data_ptr()) + c;
    *running_mean = float((1 - momentum) * *running_mean + momentum * m);
    *running_var = float((1 - momentum) * *running_var + momentum * squares / (count - 1));
    const double scale = static_cast<const float*>(w.data_ptr())[c] / std::sqrt(squares / count + eps);
    const double shift = static_cast<const float*>(b.data_ptr())[c] - m * scale;
    for (int64_t s = 0; s < batch; ++s)
      for (int64_t i = 0; i < pixels; ++i) {
        const int64_t at = (s * channels + c) * pixels + i;
        out[at] = float(in[at] * scale + shift);
      }
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "batch_norm", cpp_sources=CPP, functions=["batch_norm"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        norm, y = self.norm, torch.empty_like(x)
        norm.num_batches_tracked += 1
        statistics = (norm.running_mean, norm.running_var)
        _m.batch_norm(x.contiguous(), norm.weight, norm.bias, *statistics, y, norm.momentum, norm.eps)
        return y
