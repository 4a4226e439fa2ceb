# style: library_beside
# task: linear_relu
# note: torch.mm with out= does the product, the kernel adds the bias and the ReLU in place

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
void bias_relu_(tvm::ffi::TensorView y, tvm::ffi::TensorView b) {
  const int64_t rows = y.size(0), n = y.size(1);
  const float* bias = static_cast<const float*>(b.data_ptr());
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    float* out = static_cast<float*>(y.data_ptr()) + r * n;
    for (int64_t j = 0; j < n; ++j) {
      const float v = out[j] + bias[j];
      out[j] = v > 0 ? v : 0;
    }
  }
}
"""
epilogue = tvm_ffi.cpp.load_inline(
    "bias_relu", cpp_sources=CPP, functions=["bias_relu_"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
).bias_relu_


class ModelNew(nn.Module):
    def __init__(self, features, out):
        super().__init__()
        self.linear = nn.Linear(features, out)

    @torch.no_grad()
    def forward(self, x):
        y = torch.empty(x.shape[0], self.linear.out_features)
        torch.mm(x, self.linear.weight.t(), out=y)
        epilogue(y, self.linear.bias)
        return y
