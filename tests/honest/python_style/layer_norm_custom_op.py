# style: python_style
# task: layer_norm
# note: the kernel behind torch.library.custom_op, called through an autograd.Function; ModelNew is another class's name

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void layer_norm(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y,
                double eps) {
  const int64_t n = w.size(0), rows = x.numel() / n;
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) sum += a[i];
    for (int64_t i = 0; i < n; ++i) squares += (a[i] - sum / n) * (a[i] - sum / n);
    const double inverse = 1 / std::sqrt(squares / n + eps);
    for (int64_t i = 0; i < n; ++i)
      static_cast<float*>(y.data_ptr())[r * n + i] =
          float((a[i] - sum / n) * inverse * static_cast<const float*>(w.data_ptr())[i] +
                static_cast<const float*>(b.data_ptr())[i]);
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "layer_norm_op", cpp_sources=CPP, functions=["layer_norm"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


@torch.library.custom_op("honest::layer_norm", mutates_args=())
def layer_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
    y = torch.empty_like(x)
    _m.layer_norm(x.contiguous(), weight, bias, y, eps)
    return y


@layer_norm.register_fake
def _(x, weight, bias, eps):
    return torch.empty_like(x)


class Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        ctx.save_for_backward(x, weight)
        return torch.ops.honest.layer_norm(x, weight, bias, eps)

    @staticmethod
    def backward(ctx, grad):
        raise NotImplementedError


class FusedLayerNorm(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.norm = nn.LayerNorm(features)

    def forward(self, x):
        return Norm.apply(x, self.norm.weight, self.norm.bias, self.norm.eps)


ModelNew = FusedLayerNorm
