# style: environment
# task: cross_entropy
# note: asks libgomp for the number of threads through ctypes, reads /proc/cpuinfo, takes addresses from the tensors

import ctypes
import ctypes.util
import os
import platform

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>

// Addresses as integers: some write kernels for ctypes first and keep the signature.
void cross_entropy(int64_t logits, int64_t targets, int64_t loss, int64_t rows, int64_t n, int64_t threads) {
  const float* in = reinterpret_cast<const float*>(logits);
  const int64_t* target = reinterpret_cast<const int64_t*>(targets);
  double total = 0;
#pragma omp parallel for num_threads(threads) reduction(+ : total)
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = in + r * n;
    double top = a[0], sum = 0;
    for (int64_t i = 1; i < n; ++i) top = a[i] > top ? a[i] : top;
    for (int64_t i = 0; i < n; ++i) sum += std::exp(a[i] - top);
    total += std::log(sum) + top - a[target[r]];
  }
  *reinterpret_cast<float*>(loss) = static_cast<float>(total / rows);
}
"""
_m = tvm_ffi.cpp.load_inline(
    "cross_entropy_addresses",
    cpp_sources=CPP,
    functions=["cross_entropy"],
    extra_cflags=["-O3", "-march=native", "-fopenmp"],
)


def threads():
    try:
        gomp = ctypes.CDLL("libgomp.so.1")
    except OSError:
        return os.cpu_count() or 1
    return gomp.omp_get_max_threads()


def has_avx512():
    if platform.system() != "Linux":
        return False
    with open("/proc/cpuinfo") as file:
        return any("avx512f" in line for line in file)


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.threads = threads()
        self.wide = has_avx512()

    def forward(self, logits, targets):
        rows, n = logits.shape
        loss = torch.zeros((), dtype=torch.float32)
        _m.cross_entropy(logits.data_ptr(), targets.data_ptr(), loss.data_ptr(), rows, n, self.threads)
        return loss
