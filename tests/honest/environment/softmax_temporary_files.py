# style: environment
# task: softmax
# note: writes a header to a temporary folder for the compiler, and a log to the folder of temporary files in each call

import pathlib
import tempfile

import torch
import tvm_ffi.cpp
from torch import nn

HEADER = r"""
#pragma once
#include <cmath>
inline void softmax_row(const float* a, float* b, long n) {
  float top = a[0], sum = 0;
  for (long i = 1; i < n; ++i) top = a[i] > top ? a[i] : top;
  for (long i = 0; i < n; ++i) sum += b[i] = std::exp(a[i] - top);
  for (long i = 0; i < n; ++i) b[i] /= sum;
}
"""
CPP = r"""
#include "softmax_row.h"

void softmax(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
#pragma omp parallel for
  for (int64_t r = 0; r < x.size(0); ++r)
    softmax_row(static_cast<const float*>(x.data_ptr()) + r * x.size(1),
                static_cast<float*>(y.data_ptr()) + r * x.size(1), x.size(1));
}
"""
folder = tempfile.mkdtemp(prefix="softmax-")
pathlib.Path(folder, "softmax_row.h").write_text(HEADER)
_m = tvm_ffi.cpp.load_inline(
    "softmax_header",
    cpp_sources=CPP,
    functions=["softmax"],
    extra_cflags=["-O3", "-march=native", "-fopenmp"],
    extra_include_paths=[folder],
)


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        _m.softmax(x, y)
        with tempfile.NamedTemporaryFile("w", suffix=".log") as log:
            log.write(f"{tuple(x.shape)}\n")
        return y
