# style: packed_weights
# task: linear_relu
# note: one transposed parameter with the bias as its last row; a pre-hook builds it from the reference's names

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
void linear_relu(tvm::ffi::TensorView x, tvm::ffi::TensorView both, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), k = x.size(1), n = both.size(1);
  const float* w = static_cast<const float*>(both.data_ptr());
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    float* out = static_cast<float*>(y.data_ptr()) + r * n;
    for (int64_t j = 0; j < n; ++j) out[j] = w[k * n + j];
    for (int64_t i = 0; i < k; ++i) {
      const float a = static_cast<const float*>(x.data_ptr())[r * k + i];
      for (int64_t j = 0; j < n; ++j) out[j] += a * w[i * n + j];
    }
    for (int64_t j = 0; j < n; ++j) out[j] = out[j] > 0 ? out[j] : 0;
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "linear_both", cpp_sources=CPP, functions=["linear_relu"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, features, out):
        super().__init__()
        self.both = nn.Parameter(torch.randn(features + 1, out))

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        weight = state_dict.pop(prefix + "linear.weight", None)
        bias = state_dict.pop(prefix + "linear.bias", None)
        if weight is not None and bias is not None:
            state_dict[prefix + "both"] = torch.cat([weight.t(), bias[None]])
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def forward(self, x):
        y = x.new_empty(x.shape[0], self.both.shape[1])
        _m.linear_relu(x, self.both, y)
        return y
