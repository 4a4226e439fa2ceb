# style: lazy_build
# task: row_statistics
# note: builds with the flags it would like, then with plain ones where the compiler refuses; both in __init__

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
void statistics(tvm::ffi::TensorView x, tvm::ffi::TensorView mean, tvm::ffi::TensorView variance,
                tvm::ffi::TensorView place, tvm::ffi::TensorView found) {
  const int64_t rows = x.size(0), n = x.size(1);
  for (int64_t r = 0; r < rows; ++r) {
    const float* a = static_cast<const float*>(x.data_ptr()) + r * n;
    float top = a[0];
    int64_t at = 0;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) {
      sum += a[i];
      if (a[i] > top) top = a[i], at = i;
    }
    for (int64_t i = 0; i < n; ++i) squares += (a[i] - sum / n) * (a[i] - sum / n);
    static_cast<float*>(mean.data_ptr())[r] = float(sum / n);
    static_cast<float*>(variance.data_ptr())[r] = float(squares / (n - 1));
    static_cast<int64_t*>(place.data_ptr())[r] = at;
    static_cast<bool*>(found.data_ptr())[r] = top > 3;
  }
}
"""


class ModelNew(nn.Module):
    FLAGS = (["-O3", "-march=native", "-fno-such-flag"], ["-O3", "-march=native", "-fopenmp"])

    def __init__(self):
        super().__init__()
        for flags in self.FLAGS:
            try:
                self.module = tvm_ffi.cpp.load_inline(
                    "statistics_flags", cpp_sources=CPP, functions=["statistics"], extra_cflags=flags
                )
                break
            except RuntimeError:
                continue
        else:
            raise RuntimeError("no flags work")

    def forward(self, x):
        rows = x.shape[0]
        floats = torch.empty(2, rows)
        place, found = torch.empty(rows, dtype=torch.int64), torch.empty(rows, dtype=torch.bool)
        self.module.statistics(x, floats[0], floats[1], place, found)
        return floats[0], floats[1], place, found
