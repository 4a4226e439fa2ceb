# language: cuda
# task: rms_norm
import torch
import tvm_ffi.cpp
from torch import nn

CUDA = r"""
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <tvm/ffi/extra/cuda/base.h>

constexpr int THREADS = 256, WARPS = THREADS / 32, KEPT = 8;

// A row of at most 2 * KEPT * THREADS halves, kept in registers between its sum and what uses it.
__global__ void rms_norm_kernel(const __half2* x, const __half2* weight, __half2* y, int pairs, float eps) {
  __shared__ float shares[WARPS];
  const __half2* in = x + blockIdx.x * int64_t(pairs);
  __half2* out = y + blockIdx.x * int64_t(pairs);
  float2 kept[KEPT];
  float total = 0;
#pragma unroll
  for (int k = 0; k < KEPT; ++k) {
    const int i = threadIdx.x + k * THREADS;
    kept[k] = i < pairs ? __half22float2(in[i]) : make_float2(0, 0);
    total += kept[k].x * kept[k].x + kept[k].y * kept[k].y;
  }
  for (int step = 16; step; step /= 2) total += __shfl_xor_sync(~0u, total, step);
  if (threadIdx.x % 32 == 0) shares[threadIdx.x / 32] = total;
  __syncthreads();
  total = 0;
  for (int warp = 0; warp < WARPS; ++warp) total += shares[warp];
  const float scale = rsqrtf(total / (2 * pairs) + eps);
#pragma unroll
  for (int k = 0; k < KEPT; ++k) {
    const int i = threadIdx.x + k * THREADS;
    if (i < pairs) out[i] = __hmul2(__floats2half2_rn(kept[k].x * scale, kept[k].y * scale), weight[i]);
  }
}

void rms_norm(tvm::ffi::TensorView x, tvm::ffi::TensorView weight, tvm::ffi::TensorView y, double eps) {
  const int64_t features = x.size(x.ndim() - 1), rows = x.numel() / features;
  TVM_FFI_ICHECK(features % 2 == 0 && features <= 2 * KEPT * THREADS) << "rows of " << features << " are not kept";
  const auto stream = static_cast<cudaStream_t>(TVMFFIEnvGetStream(x.device().device_type, x.device().device_id));
  rms_norm_kernel<<<rows, THREADS, 0, stream>>>(
      static_cast<const __half2*>(x.data_ptr()), static_cast<const __half2*>(weight.data_ptr()),
      static_cast<__half2*>(y.data_ptr()), static_cast<int>(features / 2), static_cast<float>(eps));
  TVM_FFI_CHECK_CUDA_ERROR(cudaGetLastError());
}
"""
kernels = tvm_ffi.cpp.load_inline("rms_norm", cuda_sources=CUDA, functions=["rms_norm"])


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features, dtype=torch.float16))

    def forward(self, x):
        x = x.contiguous()
        y = torch.empty_like(x)
        kernels.rms_norm(x, self.weight, y, 1e-6)
        return y
