# language: cuda
# task: add
import torch
import tvm_ffi.cpp
from torch import nn

CUDA = r"""
#include <cuda_runtime.h>

constexpr int THREADS = 256;

__global__ void add_fours(const float4* a, const float4* b, float4* c, int64_t n) {
  const int64_t i = blockIdx.x * int64_t(THREADS) + threadIdx.x;
  if (i >= n) return;
  const float4 u = a[i], v = b[i];
  c[i] = make_float4(u.x + v.x, u.y + v.y, u.z + v.z, u.w + v.w);
}

__global__ void add_ones(const float* a, const float* b, float* c, int64_t n) {
  const int64_t i = blockIdx.x * int64_t(THREADS) + threadIdx.x;
  if (i < n) c[i] = a[i] + b[i];
}

static bool at_fours(const float* x) { return reinterpret_cast<uintptr_t>(x) % sizeof(float4) == 0; }

static unsigned blocks(int64_t n) { return static_cast<unsigned>((n + THREADS - 1) / THREADS); }

void add(tvm::ffi::TensorView a, tvm::ffi::TensorView b, tvm::ffi::TensorView c) {
  const float* left = static_cast<const float*>(a.data_ptr());
  const float* right = static_cast<const float*>(b.data_ptr());
  float* sum = static_cast<float*>(c.data_ptr());
  const auto stream = static_cast<cudaStream_t>(TVMFFIEnvGetStream(a.device().device_type, a.device().device_id));
  const bool aligned = at_fours(left) && at_fours(right) && at_fours(sum);
  const int64_t n = a.numel(), fours = aligned ? n / 4 : 0, done = 4 * fours;
  if (fours)
    add_fours<<<blocks(fours), THREADS, 0, stream>>>(
        reinterpret_cast<const float4*>(left), reinterpret_cast<const float4*>(right),
        reinterpret_cast<float4*>(sum), fours);
  if (done < n) add_ones<<<blocks(n - done), THREADS, 0, stream>>>(left + done, right + done, sum + done, n - done);
}
"""
kernels = tvm_ffi.cpp.load_inline("add", cuda_sources=CUDA, functions=["add"])


class ModelNew(nn.Module):
    def forward(self, a, b):
        c = torch.empty_like(a)
        kernels.add(a, b, c)
        return c
