# language: cuda
# task: linear_relu
# cheat: launches kernels of its own that do nothing, and lets the library compute
# expect: no_kernel
import torch
import tvm_ffi.cpp
from torch import nn

CUDA = r"""
#include <cuda_runtime.h>

__global__ void decoy_kernel(float* c, int64_t n) {
  for (int64_t i = blockIdx.x * 256 + threadIdx.x; i < n; i += 256 * gridDim.x)
    if (c[i] < 0) c[i] = 0;
}

void linear_relu(tvm::ffi::TensorView c) {
  decoy_kernel<<<256, 256, 0, static_cast<cudaStream_t>(TVMFFIEnvGetStream(c.device().device_type, c.device().device_id))>>>(
      static_cast<float*>(c.data_ptr()), c.numel());
}
"""
kernels = tvm_ffi.cpp.load_inline("linear_relu", cuda_sources=CUDA, functions=["linear_relu"])


class ModelNew(nn.Module):
    def forward(self, a, b):
        c = torch.relu(torch.mm(a, b))
        kernels.linear_relu(c)
        return c
