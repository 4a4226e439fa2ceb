"""Tasks and candidates for the judge's tests."""

from __future__ import annotations

from textwrap import dedent

AFFINE = dedent("""
    import torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(width))
            self.bias = nn.Parameter(torch.zeros(width))

        def forward(self, x):
            return torch.relu(x * self.weight + self.bias)

    def get_inputs():
        return [torch.rand(300, 257)]

    def get_init_inputs():
        return [257]

    def get_cases():
        return [
            {"name": "one row", "inputs": lambda: [torch.rand(1, 257)]},
            {"name": "secret", "role": "held_out", "inputs": lambda: [torch.rand(77, 257)]},
        ]
    """)

KERNEL = r"""
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r'''
void affine(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y) {
  const float *X = static_cast<const float*>(x.data_ptr()), *W = static_cast<const float*>(w.data_ptr());
  const float *B = static_cast<const float*>(b.data_ptr());
  float *Y = static_cast<float*>(y.data_ptr());
  const long n = x.size(0), d = x.size(1);
  for (long i = 0; i < n; ++i)
    for (long j = 0; j < d; ++j) {
      const float v = X[i * d + j] * W[j] + B[j];
      Y[i * d + j] = v > 0.0f ? v : 0.0f;
    }
}
'''
FLAGS = ["-O3", "-march=native", "-fopenmp"]
kernels = tvm_ffi.cpp.load_inline("affine", cpp_sources=CPP, functions=["affine"], extra_cflags=FLAGS)
"""

MODEL = """
class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x):
{body}
"""

OWN = ["y = torch.empty_like(x)", "kernels.affine(x, self.weight.detach(), self.bias.detach(), y)"]


def with_kernel(*body: str) -> str:
    """A candidate for AFFINE with a built kernel and this forward."""
    return KERNEL + MODEL.format(body="\n".join(f"        {line}" for line in body))


def torch_only(*body: str, before: str = "") -> str:
    """A candidate for AFFINE without kernels."""
    head = f"import torch\nfrom torch import nn\n{before}\n"
    return head + MODEL.format(body="\n".join(f"        {line}" for line in body))


HONEST = with_kernel(*OWN, "return y")
