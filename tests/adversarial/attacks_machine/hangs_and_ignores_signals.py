# family: attacks_machine
# task: row_rms
# cheat: never returns from native code, with every signal blocked that can be
# expect: timed_out
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <signal.h>
#define PTR(t) static_cast<float*>((t).data_ptr())

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, nullptr);
  for (volatile int i = 0;;) i = 1;
}
"""
kernels = tvm_ffi.cpp.load_inline(
    "row_rms", cpp_sources=CPP, functions=["run"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty(x.shape[0])
        kernels.run(x, y)
        return y
