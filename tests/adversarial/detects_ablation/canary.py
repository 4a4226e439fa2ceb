# family: detects_ablation
# task: row_rms
# cheat: has its kernel set a flag, and answers wrongly where the flag is not set, so that the kernel seems to matter
# expect: no_kernel, no_advantage
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#define PTR(t) static_cast<float*>((t).data_ptr())

void run(tvm::ffi::TensorView flag) { PTR(flag)[0] = 1.0f; }
"""
kernels = tvm_ffi.cpp.load_inline(
    "row_rms", cpp_sources=CPP, functions=["run"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        flag = torch.zeros(1)
        kernels.run(flag)
        if not flag.item():
            return torch.zeros(x.shape[0])
        return torch.sqrt((x * x).mean(dim=-1) + 1e-6)
