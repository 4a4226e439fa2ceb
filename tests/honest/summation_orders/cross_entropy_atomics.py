# style: summation_orders
# task: cross_entropy
# note: threads add their rows' losses to one number with a compare-and-swap loop, in no fixed order

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <atomic>
#include <cmath>

static void add(std::atomic<float>& sum, float value) {
  float now = sum.load(std::memory_order_relaxed);
  while (!sum.compare_exchange_weak(now, now + value, std::memory_order_relaxed)) {
  }
}

void cross_entropy(tvm::ffi::TensorView logits, tvm::ffi::TensorView targets, tvm::ffi::TensorView loss) {
  const int64_t rows = logits.size(0), n = logits.size(1);
  std::atomic<float> sum{0.0f};
#pragma omp parallel for schedule(dynamic, 4)
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(logits.data_ptr()) + r * n;
    float top = a[0], total = 0;
    for (int64_t i = 1; i < n; ++i) top = a[i] > top ? a[i] : top;
    for (int64_t i = 0; i < n; ++i) total += std::exp(a[i] - top);
    add(sum, std::log(total) + top - a[static_cast<const int64_t*>(targets.data_ptr())[r]]);
  }
  *static_cast<float*>(loss.data_ptr()) = sum / static_cast<float>(rows);
}
"""
_m = tvm_ffi.cpp.load_inline(
    "cross_entropy", cpp_sources=CPP, functions=["cross_entropy"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, logits, targets):
        loss = torch.empty(())
        _m.cross_entropy(logits, targets, loss)
        return loss
