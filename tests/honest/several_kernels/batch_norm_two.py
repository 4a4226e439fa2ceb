# style: several_kernels
# task: batch_norm_training
# note: a kernel for the moments; torch updates the running statistics with lerp_; a second kernel applies

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#include <vector>

void moments(tvm::ffi::TensorView x, tvm::ffi::TensorView mean, tvm::ffi::TensorView var) {
  const int64_t batch = x.size(0), channels = x.size(1), pixels = x.numel() / (batch * channels);
  const float* in = static_cast<const float*>(x.data_ptr());
  for (int64_t c = 0; c < channels; ++c) {
    double total = 0, m2 = 0, count = 0;  // Chan's way of joining the moments of parts
    for (int64_t s = 0; s < batch; ++s) {
      const float* a = in + (s * channels + c) * pixels;
      double sum = 0, squares = 0;
      for (int64_t i = 0; i < pixels; ++i) sum += a[i];
      for (int64_t i = 0; i < pixels; ++i) squares += (a[i] - sum / pixels) * (a[i] - sum / pixels);
      const double delta = count ? sum / pixels - total / count : 0;
      m2 += squares + delta * delta * count * pixels / (count + pixels);
      total += sum;
      count += pixels;
    }
    static_cast<float*>(mean.data_ptr())[c] = float(total / count);
    static_cast<float*>(var.data_ptr())[c] = float(m2 / count);
  }
}

void scale_shift(tvm::ffi::TensorView x, tvm::ffi::TensorView scale, tvm::ffi::TensorView shift,
                 tvm::ffi::TensorView y) {
  const int64_t batch = x.size(0), channels = x.size(1), pixels = x.numel() / (batch * channels);
#pragma omp parallel for
  for (int64_t p = 0; p < batch * channels; ++p) {
    const float a = static_cast<const float*>(scale.data_ptr())[p % channels];
    const float b = static_cast<const float*>(shift.data_ptr())[p % channels];
    for (int64_t i = p * pixels; i < (p + 1) * pixels; ++i)
      static_cast<float*>(y.data_ptr())[i] = static_cast<const float*>(x.data_ptr())[i] * a + b;
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "batch_norm_two",
    cpp_sources=CPP,
    functions=["moments", "scale_shift"],
    extra_cflags=["-O3", "-march=native", "-fopenmp"],
)


class ModelNew(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        norm = self.norm
        mean, var = torch.empty_like(norm.running_mean), torch.empty_like(norm.running_var)
        _m.moments(x, mean, var)
        count = x.numel() // x.shape[1]
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(var * (count / (count - 1)), norm.momentum)
        norm.num_batches_tracked.add_(1)
        scale = norm.weight * torch.rsqrt(var + norm.eps)
        y = torch.empty_like(x)
        _m.scale_shift(x, scale, norm.bias - mean * scale, y)
        return y
