# style: dispatch
# task: scaled_positions
# note: kernels by dtype in a dict, views detached, the scale returned as an expanded view of a copy

import torch
import tvm_ffi.cpp
from torch import nn

SOURCE = r"""
void scale_add_@T@(tvm::ffi::TensorView x, tvm::ffi::TensorView s, tvm::ffi::TensorView t, tvm::ffi::TensorView y) {
  const int64_t n = s.size(0);
#pragma omp parallel for
  for (int64_t r = 0; r < x.size(0); ++r) {
    const @T@* a = static_cast<const @T@*>(x.data_ptr()) + r * n;
    const @T@* b = static_cast<const @T@*>(t.data_ptr()) + r * n;
    @T@* out = static_cast<@T@*>(y.data_ptr()) + r * n;
    for (int64_t i = 0; i < n; ++i) out[i] = a[i] * static_cast<const @T@*>(s.data_ptr())[i] + b[i];
  }
}
"""
TYPES = {torch.float32: "float", torch.float64: "double"}
_m = tvm_ffi.cpp.load_inline(
    "scale_add_types",
    cpp_sources="".join(SOURCE.replace("@T@", name) for name in TYPES.values()),
    functions=[f"scale_add_{name}" for name in TYPES.values()],
    extra_cflags=["-O3", "-march=native", "-fopenmp"],
)
KERNELS = {dtype: getattr(_m, f"scale_add_{name}") for dtype, name in TYPES.items()}


class ModelNew(nn.Module):
    def __init__(self, positions, width):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.register_buffer("table", torch.sin(torch.arange(positions * width, dtype=torch.float32)).view(-1, width))

    def forward(self, x):
        used = self.table.narrow(0, 0, x.size(0))
        y = torch.empty(x.shape, dtype=x.dtype)
        kernel = KERNELS.get(x.dtype)
        if kernel is None:
            y = x * self.scale + used
        else:
            kernel(x, self.scale.detach(), used, y)
        return y, self.scale.detach().clone().expand(1, -1)[0], used.clone()
