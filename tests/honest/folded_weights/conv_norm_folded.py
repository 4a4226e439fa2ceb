# style: folded_weights
# task: conv_norm_eval
# note: batch norm is folded into the convolution's weights by the first call in eval mode

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <vector>

void conv_relu(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y) {
  const int64_t batch = x.size(0), inward = x.size(1), rows = x.size(2), columns = x.size(3), outward = w.size(0);
  const float* in = static_cast<const float*>(x.data_ptr());
  const float* weight = static_cast<const float*>(w.data_ptr());
#pragma omp parallel for collapse(2)
  for (int64_t s = 0; s < batch; ++s)
    for (int64_t o = 0; o < outward; ++o) {
      float* out = static_cast<float*>(y.data_ptr()) + (s * outward + o) * rows * columns;
      for (int64_t i = 0; i < rows * columns; ++i) out[i] = static_cast<const float*>(b.data_ptr())[o];
      for (int64_t c = 0; c < inward; ++c)
        for (int64_t p = 0; p < 9; ++p) {
          const int64_t dr = p / 3 - 1, dc = p % 3 - 1;
          const float k = weight[(o * inward + c) * 9 + p];
          const float* a = in + (s * inward + c) * rows * columns;
          for (int64_t r = dr < 0 ? 1 : 0; r < rows - (dr > 0); ++r)
            for (int64_t q = dc < 0 ? 1 : 0; q < columns - (dc > 0); ++q)
              out[r * columns + q] += k * a[(r + dr) * columns + q + dc];
        }
      for (int64_t i = 0; i < rows * columns; ++i) out[i] = out[i] > 0 ? out[i] : 0;
    }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "conv_relu", cpp_sources=CPP, functions=["conv_relu"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, inward, outward):
        super().__init__()
        self.conv = nn.Conv2d(inward, outward, 3, padding=1)
        self.norm = nn.BatchNorm2d(outward)
        self.folded = None
        self.eval()

    def fold(self):
        norm = self.norm
        scale = norm.weight.double() * torch.rsqrt(norm.running_var.double() + norm.eps)
        weight = (self.conv.weight * scale[:, None, None, None]).float()
        bias = ((self.conv.bias - norm.running_mean) * scale + norm.bias).float()
        return weight.contiguous(), bias.contiguous()

    def forward(self, x):
        if self.folded is None:
            self.folded = self.fold()
        weight, bias = self.folded
        y = x.new_empty(x.shape[0], weight.shape[0], *x.shape[2:])
        _m.conv_relu(x, weight, bias, y)
        return y
