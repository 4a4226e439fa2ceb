# style: torch_extension
# task: cross_entropy
# note: torch's load_inline with two functions, a tensor accessor, TORCH_CHECK, and tensors returned as a pair

import torch
from torch import nn
from torch.utils.cpp_extension import load_inline

CPP = r"""
#include <torch/extension.h>

std::tuple<torch::Tensor, torch::Tensor> log_sums(const torch::Tensor& logits) {
  TORCH_CHECK(logits.dim() == 2, "a matrix of logits");
  auto top = std::get<0>(logits.max(1));
  auto sums = torch::empty_like(top);
  auto a = logits.accessor<float, 2>();
  auto t = top.accessor<float, 1>();
  auto s = sums.accessor<float, 1>();
  at::parallel_for(0, a.size(0), 8, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      double sum = 0;
      for (int64_t i = 0; i < a.size(1); ++i) sum += std::exp(a[r][i] - t[r]);
      s[r] = static_cast<float>(std::log(sum)) + t[r];
    }
  });
  return {sums, top};
}

torch::Tensor mean_loss(const torch::Tensor& logits, const torch::Tensor& sums, const torch::Tensor& targets) {
  double total = 0;
  auto a = logits.accessor<float, 2>();
  for (int64_t r = 0; r < a.size(0); ++r) total += sums.data_ptr<float>()[r] - a[r][targets.data_ptr<int64_t>()[r]];
  return torch::scalar_tensor(total / a.size(0), logits.options());
}
"""
_ext = load_inline("cross_entropy_tensors", [CPP], functions=["log_sums", "mean_loss"], extra_cflags=["-O1"])


class ModelNew(nn.Module):
    def forward(self, logits, targets):
        sums, _top = _ext.log_sums(logits)
        return _ext.mean_loss(logits, sums, targets)
