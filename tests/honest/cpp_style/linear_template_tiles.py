# style: cpp_style
# task: linear_relu
# note: C++20, templates over tile sizes, if constexpr, lambdas and a namespace

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <algorithm>
#include <span>

namespace tiles {

template <int M, int N, bool FULL>
inline void tile(const float* a, const float* w, const float* bias, float* y, int64_t k, int64_t n, int m) {
  float sum[M][N] = {};
  for (int64_t i = 0; i < k; ++i)
    for (int r = 0; r < M; ++r) {
      if constexpr (!FULL)
        if (r >= m) break;
      for (int j = 0; j < N; ++j) sum[r][j] += a[r * k + i] * w[j * k + i];
    }
  const auto relu = [](float v) { return std::max(v, 0.0f); };
  for (int r = 0; r < (FULL ? M : m); ++r)
    for (int j = 0; j < N; ++j) y[r * n + j] = relu(sum[r][j] + bias[j]);
}

}  // namespace tiles

void linear_relu(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y) {
  constexpr int M = 4, N = 4;
  const int64_t rows = x.size(0), k = x.size(1), n = w.size(0);
  TVM_FFI_ICHECK(n % N == 0) << "the number of features must be a multiple of " << N;
  const std::span<const float> bias(static_cast<const float*>(b.data_ptr()), n);
  const auto* a = static_cast<const float*>(x.data_ptr());
  const auto* c = static_cast<const float*>(w.data_ptr());
  auto* out = static_cast<float*>(y.data_ptr());
#pragma omp parallel for collapse(2)
  for (int64_t r = 0; r < rows; r += M)
    for (int64_t j = 0; j < n; j += N) {
      if (r + M <= rows)
        tiles::tile<M, N, true>(a + r * k, c + j * k, &bias[j], out + r * n + j, k, n, M);
      else
        tiles::tile<M, N, false>(a + r * k, c + j * k, &bias[j], out + r * n + j, k, n, static_cast<int>(rows - r));
    }
}
"""
_m = tvm_ffi.cpp.load_inline(
    "linear_templates",
    cpp_sources=CPP,
    functions=["linear_relu"],
    extra_cflags=["-O3", "-std=c++20", "-march=native", "-fopenmp"],
)


class ModelNew(nn.Module):
    def __init__(self, features: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.new_empty((x.shape[0], self.linear.out_features))
        _m.linear_relu(x, self.linear.weight, self.linear.bias, y)
        return y
