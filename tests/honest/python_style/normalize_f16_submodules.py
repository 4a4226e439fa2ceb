# style: python_style
# task: normalize_f16
# note: two nn.Module submodules with a kernel each, put together by nn.Sequential; typing.NamedTuple between them

from typing import NamedTuple

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void lengths(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  for (int64_t i = 0; i < x.size(1); ++i) {
    double sum = 0;
    for (int64_t r = 0; r < x.size(0); ++r) {
      const double v = static_cast<const float*>(x.data_ptr())[r * x.size(1) + i];
      sum += v * v;
    }
    static_cast<float*>(y.data_ptr())[i] = std::sqrt(sum) > 1e-6 ? float(std::sqrt(sum)) : 1e-6f;
  }
}

void divide_(tvm::ffi::TensorView x, tvm::ffi::TensorView by) {
  for (int64_t i = 0; i < x.numel(); ++i)
    static_cast<float*>(x.data_ptr())[i] /= static_cast<const float*>(by.data_ptr())[i % by.size(0)];
}
"""
_m = tvm_ffi.cpp.load_inline(
    "normalize_parts",
    cpp_sources=CPP,
    functions="lengths divide_".split(),
    extra_cflags=["-O3", "-march=native", "-fopenmp"],
)


class Measured(NamedTuple):
    values: torch.Tensor
    length: torch.Tensor


class Measure(nn.Module):
    def forward(self, x):
        values = x.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        length = values.new_empty(values.shape[1])
        _m.lengths(values, length)
        return Measured(values, length)


class Divide(nn.Module):
    def forward(self, measured):
        _m.divide_(measured.values, measured.length)
        return {"unit": measured.values.half(), "length": measured.length}


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.steps = nn.Sequential(Measure(), Divide())

    def forward(self, x):
        return self.steps(x)
