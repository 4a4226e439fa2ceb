# style: noisy
# task: gated_gelu
# note: prints to stdout and stderr in every call, from Python and from C++, with warnings and logging

import logging
import sys
import warnings

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#include <cstdio>
#include <iostream>

void gated_gelu(tvm::ffi::TensorView x, tvm::ffi::TensorView gate, tvm::ffi::TensorView y, double scale,
                bool residual) {
  const float* a = static_cast<const float*>(x.data_ptr());
  const float* g = static_cast<const float*>(gate.data_ptr());
#pragma omp parallel for
  for (int64_t i = 0; i < x.numel(); ++i) {
    const double v = a[i];
    const double gelu = 0.5 * v * (1 + std::tanh(0.7978845608028654 * (v + 0.044715 * v * v * v)));
    static_cast<float*>(y.data_ptr())[i] = float(gelu / (1 + std::exp(-double(g[i]))) * scale + (residual ? v : 0));
  }
  std::printf("gated_gelu: %ld elements\n", static_cast<long>(x.numel()));
  std::cerr << "done" << std::endl;
}
"""
logging.basicConfig(level=logging.DEBUG)
log = logging.getLogger("gated_gelu")
_m = tvm_ffi.cpp.load_inline(
    "gated_gelu_loud", cpp_sources=CPP, functions=["gated_gelu"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)
print("built", _m)
warnings.warn("this module is loud", stacklevel=1)


class ModelNew(nn.Module):
    def forward(self, x, gate, scale, residual, mask):
        print(f"[DEBUG] shapes {tuple(x.shape)}, {tuple(gate.shape)}", flush=True)
        log.info("scale %s", scale)
        assert x.shape == gate.shape, "x and gate must be alike"
        y = torch.empty_like(x)
        _m.gated_gelu(x, gate, y, scale, residual)
        print("sum", float(y.sum()), file=sys.stderr)
        return y if mask is None else y * mask


if __name__ == "__main__":
    print(ModelNew()(torch.randn(2, 3), torch.randn(2, 3), 1.0, True, None))
