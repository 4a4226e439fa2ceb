# style: library_beside
# task: gated_gelu
# note: a torch.jit.script function does the gate, the kernel the rest; numpy wraps the memory of the result

import numpy as np
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

void gelu_times(tvm::ffi::TensorView x, tvm::ffi::TensorView gate, tvm::ffi::TensorView y) {
#pragma omp parallel for
  for (int64_t i = 0; i < x.numel(); ++i) {
    const float v = static_cast<const float*>(x.data_ptr())[i];
    static_cast<float*>(y.data_ptr())[i] = 0.5f * v * (1 + std::tanh(0.79788456f * (v + 0.044715f * v * v * v))) *
                                           static_cast<const float*>(gate.data_ptr())[i];
  }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "gelu_times", cpp_sources=CPP, functions=["gelu_times"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


@torch.jit.script
def gated(gate: torch.Tensor, scale: float) -> torch.Tensor:
    return torch.sigmoid(gate) * scale


class ModelNew(nn.Module):
    def forward(self, x, gate, scale, residual, mask):
        result = np.empty(tuple(x.shape), dtype=np.float32)
        y = torch.from_numpy(result)
        _m.gelu_times(x, gated(gate, float(scale)), y)
        if residual:
            y += x
        return y if mask is None else y * mask
