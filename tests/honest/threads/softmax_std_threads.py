# style: threads
# task: softmax
# note: std::thread objects made and joined in each call

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <algorithm>
#include <cmath>
#include <thread>
#include <vector>

static void work(const float* in, float* out, int64_t n, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const float* a = in + r * n;
    float* b = out + r * n;
    const float top = *std::max_element(a, a + n);
    float sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += b[i] = std::exp(a[i] - top);
    for (int64_t i = 0; i < n; ++i) b[i] /= sum;
  }
}

void softmax(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const int64_t rows = x.size(0), n = x.size(1);
  const int64_t count = std::max(1u, std::thread::hardware_concurrency());
  const int64_t share = (rows + count - 1) / count;
  std::vector<std::thread> team;
  for (int64_t t = 0; t < count; ++t)
    team.emplace_back(work, static_cast<const float*>(x.data_ptr()), static_cast<float*>(y.data_ptr()), n,
                      std::min(rows, t * share), std::min(rows, (t + 1) * share));
  for (auto& thread : team) thread.join();
}
"""
_m = tvm_ffi.cpp.load_inline(
    "softmax_threads",
    cpp_sources=CPP,
    functions=["softmax"],
    extra_cflags=["-O3", "-march=native", "-pthread"],
    extra_ldflags=["-pthread"],
)


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        _m.softmax(x, y)
        return y
