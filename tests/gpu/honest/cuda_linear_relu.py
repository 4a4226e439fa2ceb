# language: cuda
# task: linear_relu
import torch
import tvm_ffi.cpp
from torch import nn

CUDA = r"""
#include <cuda_runtime.h>

constexpr int TILE = 64, STEP = 16, EACH = 4, THREADS = TILE / EACH;

// A tile of TILE x TILE results a block, EACH x EACH a thread, operands through shared memory.
__global__ void linear_relu_kernel(const float* a, const float* b, float* c, int m, int n, int k) {
  extern __shared__ float memory[];
  float(*left)[TILE + EACH] = reinterpret_cast<float(*)[TILE + EACH]>(memory);
  float(*right)[TILE] = reinterpret_cast<float(*)[TILE]>(memory + STEP * (TILE + EACH));
  const int row = blockIdx.y * TILE, column = blockIdx.x * TILE, me = threadIdx.y * THREADS + threadIdx.x;
  float total[EACH][EACH] = {};
  for (int start = 0; start < k; start += STEP) {
    for (int at = me; at < TILE * STEP; at += THREADS * THREADS) {
      const int i = at / STEP, s = at % STEP;
      left[s][i] = row + i < m && start + s < k ? a[int64_t(row + i) * k + start + s] : 0;
    }
    for (int at = me; at < TILE * STEP; at += THREADS * THREADS) {
      const int s = at / TILE, j = at % TILE;
      right[s][j] = start + s < k && column + j < n ? b[int64_t(start + s) * n + column + j] : 0;
    }
    __syncthreads();
    for (int s = 0; s < STEP; ++s)
      for (int i = 0; i < EACH; ++i)
        for (int j = 0; j < EACH; ++j)
          total[i][j] += left[s][threadIdx.y * EACH + i] * right[s][threadIdx.x + j * THREADS];
    __syncthreads();
  }
  for (int i = 0; i < EACH; ++i)
    for (int j = 0; j < EACH; ++j) {
      const int at_row = row + threadIdx.y * EACH + i, at_column = column + threadIdx.x + j * THREADS;
      if (at_row < m && at_column < n) c[int64_t(at_row) * n + at_column] = fmaxf(total[i][j], 0);
    }
}

void linear_relu(tvm::ffi::TensorView a, tvm::ffi::TensorView b, tvm::ffi::TensorView c) {
  const int m = a.size(0), k = a.size(1), n = b.size(1);
  const auto stream = static_cast<cudaStream_t>(TVMFFIEnvGetStream(a.device().device_type, a.device().device_id));
  const dim3 blocks((n + TILE - 1) / TILE, (m + TILE - 1) / TILE), threads(THREADS, THREADS);
  const size_t shared = STEP * (2 * TILE + EACH) * sizeof(float);
  linear_relu_kernel<<<blocks, threads, shared, stream>>>(
      static_cast<const float*>(a.data_ptr()), static_cast<const float*>(b.data_ptr()),
      static_cast<float*>(c.data_ptr()), m, n, k);
}
"""
kernels = tvm_ffi.cpp.load_inline("linear_relu", cuda_sources=CUDA, functions=["linear_relu"])


class ModelNew(nn.Module):
    def forward(self, a, b):
        c = torch.empty((a.shape[0], b.shape[1]), device=a.device, dtype=a.dtype)
        kernels.linear_relu(a, b, c)
        return c
