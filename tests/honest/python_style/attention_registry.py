# style: python_style
# task: causal_attention
# note: an abstract backend, a registry filled by a decorator, a context manager, generators, a walrus, match

import abc
import contextlib
import functools
import itertools

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <cmath>
#include <vector>

void one_head(tvm::ffi::TensorView q, tvm::ffi::TensorView k, tvm::ffi::TensorView v, tvm::ffi::TensorView y,
              double scale) {
  const int64_t length = q.size(0), d = q.size(1);
  const float *Q = static_cast<const float*>(q.data_ptr()), *K = static_cast<const float*>(k.data_ptr());
  const float* V = static_cast<const float*>(v.data_ptr());
  float* Y = static_cast<float*>(y.data_ptr());
#pragma omp parallel for schedule(dynamic)
  for (int64_t i = 0; i < length; ++i) {
    std::vector<double> p(i + 1);
    double top = -1e300, sum = 0;
    for (int64_t j = 0; j <= i; ++j) {
      double dot = 0;
      for (int64_t e = 0; e < d; ++e) dot += double(Q[i * d + e]) * K[j * d + e];
      p[j] = dot * scale;
      top = p[j] > top ? p[j] : top;
    }
    for (double& s : p) sum += s = std::exp(s - top);
    for (int64_t e = 0; e < d; ++e) {
      double mixed = 0;
      for (int64_t j = 0; j <= i; ++j) mixed += p[j] * V[j * d + e];
      Y[i * d + e] = float(mixed / sum);
    }
  }
}
"""
BACKENDS = {}


def backend(name):
    def register(cls):
        BACKENDS[name] = cls
        return cls

    return register


class Backend(abc.ABC):
    @abc.abstractmethod
    def __call__(self, q, k, v): ...


@backend("cpp")
class Cpp(Backend):
    def __init__(self):
        self.module = self._module()

    @staticmethod
    @functools.cache
    def _module():
        return tvm_ffi.cpp.load_inline(
            "one_head", cpp_sources=CPP, functions=["one_head"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
        )

    def __call__(self, q, k, v):
        y = torch.empty_like(q)
        heads = range(q.shape[0])
        for h, scale in zip(heads, itertools.repeat(q.shape[-1] ** -0.5)):
            self.module.one_head(q[h], k[h], v[h], y[h], scale)
        return y


@backend("torch")
class Torch(Backend):
    def __call__(self, q, k, v):
        return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


@contextlib.contextmanager
def no_grad_scope():
    with torch.no_grad():
        yield


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.backends = {name: cls() for name, cls in BACKENDS.items()}

    def forward(self, q, k, v):
        with no_grad_scope():
            match q.dim():
                case 3 if (run := self.backends["cpp"]) and q.dtype == torch.float32:
                    return run(q.contiguous(), k.contiguous(), v.contiguous())
                case _:
                    return self.backends["torch"](q, k, v)
