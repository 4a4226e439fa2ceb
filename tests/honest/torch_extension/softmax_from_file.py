# style: torch_extension
# task: softmax
# note: torch's load from a file in a folder made beside the working directory, with a PYBIND11_MODULE of its own

import os

import torch
from torch import nn
from torch.utils.cpp_extension import load

CPP = r"""
#include <torch/extension.h>

torch::Tensor softmax(torch::Tensor x) {
  auto y = torch::empty_like(x);
  const int64_t rows = x.size(0), n = x.size(1);
  const float* in = x.data_ptr<float>();
  float* out = y.data_ptr<float>();
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = in + r * n;
    float* b = out + r * n;
    float top = a[0], sum = 0;
    for (int64_t i = 1; i < n; ++i) top = std::max(top, a[i]);
    for (int64_t i = 0; i < n; ++i) sum += b[i] = std::exp(a[i] - top);
    for (int64_t i = 0; i < n; ++i) b[i] /= sum;
  }
  return y;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) { m.def("forward", &softmax, "softmax over rows"); }
"""
os.makedirs("./build", exist_ok=True)
with open("./build/softmax.cpp", "w") as file:
    file.write(CPP)
softmax_cpp = load(
    name="softmax_from_file",
    sources=["./build/softmax.cpp"],
    extra_cflags=["-O3", "-fopenmp"],
    build_directory="./build",
)


class ModelNew(nn.Module):
    def __init__(self):
        super(ModelNew, self).__init__()
        self.op = softmax_cpp

    def forward(self, x):
        return self.op.forward(x)
