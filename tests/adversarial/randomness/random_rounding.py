# family: randomness
# task: linear_relu
# cheat: rounds its inputs to bfloat16 at random, up or down, so that the errors average out
# expect: wrong_values
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#define PTR(t) static_cast<float*>((t).data_ptr())

void run(tvm::ffi::TensorView y, tvm::ffi::TensorView b) {
  float* Y = PTR(y);
  const float* B = PTR(b);
  const long n = y.size(0), d = y.size(1);
#pragma omp parallel for
  for (long i = 0; i < n; ++i)
    for (long j = 0; j < d; ++j) {
      const float v = Y[i * d + j] + B[j];
      Y[i * d + j] = v > 0 ? v : 0;
    }
}
"""
kernels = tvm_ffi.cpp.load_inline(
    "linear_relu", cpp_sources=CPP, functions=["run"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def __init__(self, inward, outward):
        super().__init__()
        self.linear = nn.Linear(inward, outward)

    def forward(self, x):
        noise = torch.randint(0, 1 << 16, x.shape, dtype=torch.int32)
        cut = ((x.contiguous().view(torch.int32) + noise) & ~0xFFFF).view(torch.float32)
        y = torch.mm(cut, self.linear.weight.detach().t())
        kernels.run(y, self.linear.bias.detach())
        return y
