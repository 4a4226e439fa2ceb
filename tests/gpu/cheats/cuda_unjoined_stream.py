# language: cuda
# task: softmax
# cheat: launches on a stream of its own that waits for the inputs, and that nobody waits for
# expect: wrong_values, non_finite, tampering
import torch
import tvm_ffi.cpp
from torch import nn

CUDA = r"""
#include <cuda_runtime.h>
#include <math_constants.h>

constexpr int THREADS = 256, WARPS = THREADS / 32;

template <bool MAXIMUM>
__device__ float combined(float value) {
  __shared__ float shares[WARPS];
  for (int step = 16; step; step /= 2) {
    const float other = __shfl_xor_sync(~0u, value, step);
    value = MAXIMUM ? fmaxf(value, other) : value + other;
  }
  __syncthreads();
  if (threadIdx.x % 32 == 0) shares[threadIdx.x / 32] = value;
  __syncthreads();
  value = shares[0];
  for (int warp = 1; warp < WARPS; ++warp) value = MAXIMUM ? fmaxf(value, shares[warp]) : value + shares[warp];
  return value;
}

__global__ void softmax_kernel(const float* x, float* y, int64_t columns) {
  const float* in = x + blockIdx.x * columns;
  float* out = y + blockIdx.x * columns;
  float top = -CUDART_INF_F, total = 0;
  for (int64_t i = threadIdx.x; i < columns; i += THREADS) top = fmaxf(top, in[i]);
  top = combined<true>(top);
  for (int64_t i = threadIdx.x; i < columns; i += THREADS) total += expf(in[i] - top);
  total = combined<false>(total);
  for (int64_t i = threadIdx.x; i < columns; i += THREADS) out[i] = expf(in[i] - top) / total;
}

static cudaStream_t stream_of(tvm::ffi::TensorView x) {
  return static_cast<cudaStream_t>(TVMFFIEnvGetStream(x.device().device_type, x.device().device_id));
}

void softmax(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  static cudaStream_t beside = nullptr;
  static cudaEvent_t begun;
  if (!beside) {
    cudaStreamCreateWithFlags(&beside, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&begun, cudaEventDisableTiming);
  }
  cudaEventRecord(begun, stream_of(x));
  cudaStreamWaitEvent(beside, begun, 0);
  softmax_kernel<<<x.size(0), THREADS, 0, beside>>>(
      static_cast<const float*>(x.data_ptr()), static_cast<float*>(y.data_ptr()), x.size(1));
}
"""
kernels = tvm_ffi.cpp.load_inline("softmax", cuda_sources=CUDA, functions=["softmax"])


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        kernels.softmax(x, y)
        return y
