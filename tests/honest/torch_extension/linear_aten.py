# style: torch_extension
# task: linear_relu
# note: torch's own load_inline; ATen does the product, a loop the rest, and the result is returned by the kernel

import torch
from torch import nn
from torch.utils.cpp_extension import load_inline

CPP = r"""
#include <torch/extension.h>

torch::Tensor linear_relu(torch::Tensor x, torch::Tensor weight, torch::Tensor bias) {
  torch::NoGradGuard no_grad;
  auto y = at::mm(x, weight.t());
  float* out = y.data_ptr<float>();
  const float* b = bias.data_ptr<float>();
  const int64_t n = y.size(1);
  at::parallel_for(0, y.size(0), 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t j = 0; j < n; ++j) out[r * n + j] = std::max(out[r * n + j] + b[j], 0.0f);
  });
  return y;
}
"""
_ext = load_inline(name="linear_aten", cpp_sources=CPP, functions=["linear_relu"], extra_cflags=["-O1"], verbose=False)


class ModelNew(nn.Module):
    def __init__(self, features, out):
        super().__init__()
        self.linear = nn.Linear(features, out)

    def forward(self, x):
        return _ext.linear_relu(x, self.linear.weight, self.linear.bias)
