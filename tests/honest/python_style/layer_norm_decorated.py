# style: python_style
# task: layer_norm
# note: a decorator that checks arguments, a dataclass for the launch, a class that owns the extension

import functools
from dataclasses import dataclass, field

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void layer_norm(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y,
                double eps, int64_t rows, int64_t n) {
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    float* out = static_cast<float*>(y.data_ptr()) + r * n;
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) mean += a[i];
    mean /= n;
    for (int64_t i = 0; i < n; ++i) squares += (a[i] - mean) * (a[i] - mean);
    const double inverse = 1 / std::sqrt(squares / n + eps);
    for (int64_t i = 0; i < n; ++i)
      out[i] = float((a[i] - mean) * inverse) * static_cast<const float*>(w.data_ptr())[i] +
               static_cast<const float*>(b.data_ptr())[i];
  }
}
"""


def float32_only(method):
    @functools.wraps(method)
    def checked(self, x, *args, **kwargs):
        if x.dtype != torch.float32:
            raise TypeError(f"float32 expected, got {x.dtype}")
        return method(self, x.contiguous(), *args, **kwargs)

    return checked


@dataclass(frozen=True)
class Launch:
    rows: int
    width: int
    tags: list = field(default_factory=list)

    @classmethod
    def of(cls, x):
        return cls(x.numel() // x.shape[-1], x.shape[-1])


class Extension:
    def __init__(self, name, source, *functions):
        flags = ["-O3", "-march=native", "-fopenmp"]
        self._module = tvm_ffi.cpp.load_inline(name, cpp_sources=source, functions=list(functions), extra_cflags=flags)

    def __getattr__(self, name):
        return getattr(self._module, name)

    def __call__(self, name, *args):
        return getattr(self._module, name)(*args)


EXTENSION = Extension("layer_norm_decorated", CPP, "layer_norm")


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.norm = nn.LayerNorm(features)

    @float32_only
    def forward(self, x):
        launch, y = Launch.of(x), torch.empty_like(x)
        EXTENSION("layer_norm", x, self.norm.weight, self.norm.bias, y, self.norm.eps, launch.rows, launch.width)
        return y
