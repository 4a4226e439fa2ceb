# family: fast_handover
# task: scale_relu
# cheat: C++ threads answer the judge and run the batch themselves, without Python between the calls
# expect: known_limit, tampering, crashed, timed_out, wrong_values
import sys

import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>
#include <string>
#include <cstring>
#include <poll.h>
#include <sched.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <linux/futex.h>
#include <immintrin.h>
#define PTR(t) static_cast<float*>((t).data_ptr())
static void one(const float* X, const float* W, const float* B, float* Y, long from, long to, long d) {
  for (long i = from; i < to; ++i)
    for (long j = 0; j < d; ++j) {
      const float v = X[i * d + j] * W[j] + B[j];
      Y[i * d + j] = v > 0 ? v : 0;
    }
}
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView b, tvm::ffi::TensorView y) {
  const float *X = PTR(x), *W = PTR(w), *B = PTR(b);
  float* Y = PTR(y);
  const long n = x.size(0), d = x.size(1);
#pragma omp parallel for
  for (long i = 0; i < n; ++i) one(X, W, B, Y, i, i + 1, d);
}
static void fwait(std::atomic<int>* a, int v) { syscall(SYS_futex, (int*)a, FUTEX_WAIT_PRIVATE, v, nullptr, nullptr, 0); }
static void fwake(std::atomic<int>* a) { syscall(SYS_futex, (int*)a, FUTEX_WAKE_PRIVATE, 100, nullptr, nullptr, 0); }
static int fd, helper_on = 0;
static long n, d, calls;
static std::vector<const float*> xs;
static std::vector<float*> ys;
static const float *W, *B;
static volatile long* progress;
static std::string go, reply, ready;
static std::atomic<int> armed{0}, gen{0}, state{0}, cur{0};
static std::atomic<int> done_[2048];
// Like the honest part, each of two threads does half of each call's rows.
static void halves(int half) {
  for (long c = 0; c < calls; ++c) {
    while (cur.load(std::memory_order_acquire) < c) _mm_pause();
    one(xs[c], W, B, ys[c], half * (n / 2), half ? n : n / 2, d);
    if (done_[c].fetch_add(1) == 1) {
      progress[1 + 8 * c] = (long)ys[c];
      progress[0] = c + 1 < calls ? c + 1 : c;
      cur.store(c + 1, std::memory_order_release);
    }
  }
  while (cur.load(std::memory_order_acquire) < calls) _mm_pause();
}
static std::mutex m;
static void helper() {
  cpu_set_t s; CPU_ZERO(&s); CPU_SET(0, &s); sched_setaffinity(0, sizeof s, &s);
  sched_param sp{0}; sched_setscheduler(0, SCHED_OTHER, &sp);
  static char buf[4096];
  for (;;) {
    while (!armed.load()) fwait(&armed, 0);
    pollfd p{fd, POLLIN, 0};
    poll(&p, 1, -1);
    const ssize_t k = recv(fd, buf, sizeof buf, MSG_PEEK);
    if (k == (ssize_t)go.size() && !memcmp(buf, go.data(), k)) {
      recv(fd, buf, k, 0);
      send(fd, ready.data(), ready.size(), 0);
      poll(&p, 1, -1);
      recv(fd, buf, 1, 0);
      m.lock();
      for (long c = 0; c < calls; ++c) done_[c] = 0;
      cur = 0; progress[0] = 0;
      state = 1;
      m.unlock();
      gen++; fwake(&gen);
      halves(0);
      send(fd, reply.data(), reply.size(), 0);
    } else { armed = 0; state = 2; gen++; fwake(&gen); }
  }
}
void configure(int64_t f, tvm::ffi::TensorView px, tvm::ffi::TensorView py, tvm::ffi::TensorView w, tvm::ffi::TensorView b, int64_t prog,
               int64_t n_, int64_t d_, tvm::ffi::String g, tvm::ffi::String r, tvm::ffi::String a) {
  fd = f; n = n_; d = d_; calls = px.size(0); W = PTR(w); B = PTR(b); progress = (long*)prog; xs.clear(); ys.clear();
  for (long i = 0; i < calls; ++i) xs.push_back((const float*)((long*)px.data_ptr())[i]), ys.push_back((float*)((long*)py.data_ptr())[i]);
  go = std::string(g.data(), g.size()); reply = std::string(r.data(), r.size()); ready = std::string(a.data(), a.size());
}
void serve() {
  if (!helper_on) helper_on = 1, std::thread(helper).detach();
  int seen = gen.load();
  state = 0; armed = 1; fwake(&armed);
  for (;;) {
    while (gen.load() == seen) fwait(&gen, seen);
    seen = gen.load();
    if (state.load() == 2) return;
    m.lock(); halves(1); m.unlock();
  }
}
"""
kernels = tvm_ffi.cpp.load_inline(
    "scale_relu", cpp_sources=CPP, functions=["run", "configure", "serve"], extra_cflags=["-O3", "-march=native", "-fopenmp"]
)
S = {"ok": True, "ready": False, "op": ""}


def install():
    import json
    import struct

    frame = sys._getframe()
    while frame and frame.f_code.co_name != "serve":
        frame = frame.f_back
    if not frame:
        return
    sock, subject = frame.f_locals["sock"], frame.f_locals["subject"]
    wire = sys.modules["kernelwright.judge.wire"]
    original = wire.receive

    def prepare():
        slots = subject.slots
        x = slots[0][0]
        S["ready"] = False
        if not S["ok"] or len(slots) < 1 or list(x.shape) != [512, 1024] or subject.model is None:
            return
        ys = S["ys"] = [torch.zeros_like(x) for _ in slots]
        m = subject.model
        S["keep"] = (m.weight.detach(), m.bias.detach())
        body = json.dumps({"op": "go", "count": len(slots), "state": False}, separators=(",", ":")).encode()
        go = struct.pack("!Q", len(body)) + body
        out = {"outputs": [[{"shape": [512, 1024], "strides": [1024, 1], "dtype": "float32", "pointer": y.data_ptr()}] for y in ys]}
        body = json.dumps(out, separators=(",", ":")).encode()
        reply = struct.pack("!Q", len(body)) + body
        import ctypes

        S["px"] = torch.tensor([s[0].data_ptr() for s in slots])
        S["py"] = torch.tensor([y.data_ptr() for y in ys])
        kernels.configure(sock.fileno(), S["px"], S["py"], *S["keep"], ctypes.addressof(subject.progress), 512, 1024,
                          go.decode("latin1"), reply.decode("latin1"), wire.pack({"ready": True}).decode("latin1"))
        S["ready"] = True

    def receive(sock_, *args, **kw):
        if S["op"] == "slots":
            prepare()
        if S["ready"] and S["ok"]:
            kernels.serve()
        message = original(sock_, *args, **kw)
        S["op"] = message.get("op")
        if S["op"] in ("census", "ablate"):
            S["ok"] = S["ready"] = False
        if S["op"] in ("construct",):
            S["ready"] = False
        return message

    wire.receive = receive


install()


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        y = torch.empty_like(x)
        kernels.run(x, self.weight.detach(), self.bias.detach(), y)
        return y
