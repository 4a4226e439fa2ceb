# style: threads
# task: softmax
# note: a pool of threads that stays alive between calls and sleeps on a condition variable

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

class Pool {
 public:
  Pool() {
    for (unsigned i = 1; i < std::max(2u, std::thread::hardware_concurrency()); ++i)
      team_.emplace_back([this] { serve(); });
  }
  ~Pool() {
    {
      std::lock_guard<std::mutex> hold(lock_);
      over_ = true;
    }
    wake_.notify_all();
    for (auto& thread : team_) thread.join();
  }
  void run(int64_t count, const std::function<void(int64_t)>& work) {
    {
      std::lock_guard<std::mutex> hold(lock_);
      work_ = &work;
      count_ = count;
      next_ = 0;
      busy_ = static_cast<int>(team_.size());
      ++round_;
    }
    wake_.notify_all();
    take();
    std::unique_lock<std::mutex> hold(lock_);
    done_.wait(hold, [this] { return busy_ == 0; });
  }

 private:
  void take() {
    for (int64_t i; (i = next_.fetch_add(1)) < count_;) (*work_)(i);
  }
  void serve() {
    int seen = 0;
    for (;;) {
      std::unique_lock<std::mutex> hold(lock_);
      wake_.wait(hold, [&] { return over_ || round_ != seen; });
      if (over_) return;
      seen = round_;
      hold.unlock();
      take();
      hold.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }
  std::vector<std::thread> team_;
  std::mutex lock_;
  std::condition_variable wake_, done_;
  const std::function<void(int64_t)>* work_ = nullptr;
  std::atomic<int64_t> next_{0};
  int64_t count_ = 0;
  int busy_ = 0, round_ = 0;
  bool over_ = false;
};

void softmax(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  static Pool pool;
  const int64_t rows = x.size(0), n = x.size(1), block = 16;
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  pool.run((rows + block - 1) / block, [=](int64_t part) {
    for (int64_t r = part * block; r < std::min(rows, (part + 1) * block); ++r) {
      const float top = *std::max_element(in + r * n, in + (r + 1) * n);
      float sum = 0;
      for (int64_t i = r * n; i < (r + 1) * n; ++i) sum += out[i] = std::exp(in[i] - top);
      for (int64_t i = r * n; i < (r + 1) * n; ++i) out[i] /= sum;
    }
  });
}
"""
_m = tvm_ffi.cpp.load_inline(
    "softmax_pool", cpp_sources=CPP, functions=["softmax"], extra_cflags=["-O3", "-pthread"], extra_ldflags=["-pthread"]
)


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        _m.softmax(x, y)
        return y
