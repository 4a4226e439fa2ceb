# style: environment
# task: gated_gelu
# note: sets environment variables, the number of threads and the seeds, reads its own source, collects garbage

import gc
import inspect
import os
import random

import torch

os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
os.environ["KMP_BLOCKTIME"] = "0"

import tvm_ffi.cpp
from torch import nn

torch.set_num_threads(max(1, (os.cpu_count() or 1)))

CPP = r"""
#include <cmath>
#include <omp.h>

void gated_gelu(tvm::ffi::TensorView x, tvm::ffi::TensorView gate, tvm::ffi::TensorView y, double scale,
                bool residual) {
  omp_set_dynamic(0);
#pragma omp parallel for num_threads(2)
  for (int64_t i = 0; i < x.numel(); ++i) {
    const float v = static_cast<const float*>(x.data_ptr())[i], g = static_cast<const float*>(gate.data_ptr())[i];
    const float gelu = 0.5f * v * (1 + std::tanh(0.7978845608028654f * (v + 0.044715f * v * v * v)));
    static_cast<float*>(y.data_ptr())[i] = gelu / (1 + std::exp(-g)) * float(scale) + (residual ? v : 0.0f);
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "gated_gelu_environment",
    cpp_sources=CPP,
    functions=["gated_gelu"],
    extra_cflags=["-O3", "-march=native", "-fopenmp"],
    extra_ldflags=["-fopenmp"],
)


class ModelNew(nn.Module):
    """Knows its own text."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(42)
        random.seed(42)
        with open(__file__) as file:
            self.lines = len(file.read().splitlines())
        assert "Knows its own text" in inspect.getsource(ModelNew)
        assert "def forward" in inspect.getsource(type(self).forward)

    def forward(self, x, gate, scale, residual, mask):
        y = torch.empty_like(x)
        _m.gated_gelu(x, gate, y, scale, residual)
        gc.collect()
        return y if mask is None else y * mask
